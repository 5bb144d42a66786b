"""The scripting contract: vocabulary, signatures, loading, requests."""
