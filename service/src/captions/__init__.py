"""The reference service: it checks video captions. Now: reads a slide's text, keeps viewers' reports and its users.

app         create_app(): routes, errors, lifespan      main    the app that ``plimsoll_runtime serve`` imports
deps        what handlers depend on                     worker  the jobs that ``plimsoll_runtime work`` runs
models      what goes in and out                        tables  what is stored
routes      the handlers                                ocr     the work of a slide's job, in a child process
slides      what counts as a slide                      mail    the work of a welcome's job, likewise
welcome     a new user's mail, promised                 migrate ``python -m captions.migrate``
errors      what can go wrong                           token   ``python -m captions.token``
"""
