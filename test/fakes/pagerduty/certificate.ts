/** The certificate of the stand-in PagerDuty. For loopback tests only: its key is public by being here, and no system trusts it. */

/** Self-signed, for 127.0.0.1 and localhost; trusted only by who is given it. */
export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBsDCCAVWgAwIBAgIUBLPlHeFPtrXSqrZuq640N214WGAwCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTbG9vcGJhY2sgdGVzdCBwYWdlcjAgFw0yNjExMjIxMDI1NDFa
GA8yMTI2MTAyOTEwMjU0MVowHjEcMBoGA1UEAwwTbG9vcGJhY2sgdGVzdCBwYWdl
cjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJ7snO+6tYoQ5aH02LGMVvrAAq/d
GYJCYjHICbb3dJ9wI9YapbE4SDYNAMwWkls98ovcaw4t5l8e+pgS0IqVf1SjbzBt
MB0GA1UdDgQWBBQJ8Z6LbbJpAm92POuYJtKaR14QLDAfBgNVHSMEGDAWgBQJ8Z6L
bbJpAm92POuYJtKaR14QLDAaBgNVHREEEzARhwR/AAABgglsb2NhbGhvc3QwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA3iKp4xQcfJHdzkYkJnsG
hgXUeWqdWJN89Y29b/GNKC0CIQDk4Prmsi0MQHKGMC2ZEELBBfC2Vt6UJC50AzO0
oCCj4A==
-----END CERTIFICATE-----
`;

/** The private key of that certificate. It protects nothing. */
export const PRIVATE_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFOXhy+wLOpA/rB86
C+JVQ0F2ctfZutasB2g5SjM/ZkOhRANCAASe7JzvurWKEOWh9NixjFb6wAKv3RmC
QmIxyAm293SfcCPWGqWxOEg2DQDMFpJbPfKL3GsOLeZfHvqYEtCKlX9U
-----END PRIVATE KEY-----
`;
