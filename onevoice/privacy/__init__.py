"""A customer's rights over all stores: access, erasure with its proof, and how long what is kept for which purpose."""
