"""The custom resources of ``plimsoll.dev/v1alpha1`` as pydantic models; their CRDs are generated from these."""
