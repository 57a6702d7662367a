"""Who somebody is: tokens of OpenID providers, and an authorization server of our own."""
