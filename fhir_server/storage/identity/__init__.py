"""The rows of the authorization server, by synchronous connections: logins are rare."""
