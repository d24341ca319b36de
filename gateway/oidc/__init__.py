"""Sign-in with OpenID Connect providers: the relying party's side of the protocol.

| module | content |
| --- | --- |
| settings | one provider, as configured |
| attempt | one sign-in in progress, and its cookie |
| authorization | the authorization request, and its answer |
| discovery | the provider metadata |
| keys | the provider's public keys |
| rotation | verification with keys that may have changed |
| token | the token request, and its answer |
| id_token | verification of the ID token |
| logout_token | verification of a logout token |
| claims, person | claims become an identity, roles and tenants |
| userinfo | claims of the UserInfo endpoint, and how they are added |
| signed_in | the result of a sign-in, and step-up |
| hint | the ID token that is kept for a sign-out at the provider |
| sign_out | sign-out at the provider |
| client_authentication | what proves the client to the provider |
| renewal, vault | what is kept, encrypted, to renew the membership of a session |
| bearer_token | verification of an access token that a program sent |
| bearer_session | the session that such a token stands for |
| access_token | the access token in a session record, for an upstream |
| membership | when it has to be renewed, and the renewed session |
| client | the only module with I/O: bounded HTTP calls |
| provider | metadata and keys as cached, and the steps of a sign-in |
| examination | what `gateway check` asks a provider |
"""
