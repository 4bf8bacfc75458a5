"""Who may do what: the controller's CA, enrolment, revocation, rights on the broker and of the API."""
