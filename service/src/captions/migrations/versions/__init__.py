"""One file per step of the schema; expand first, contract a release later."""
