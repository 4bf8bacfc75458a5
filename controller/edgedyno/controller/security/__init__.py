"""Who may do what, and how much of it: the CA, certificates, rights on the broker; tokens, signatures, limits."""
