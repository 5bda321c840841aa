// A certified OpenID provider on loopback: prints its issuer URL on a line of its own when it listens.
import { once } from "node:events";
import { createServer } from "node:http";
import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } from "jose";
import Provider, { errors } from "oidc-provider";

// A resource for each algorithm: the client chooses how its token is signed by the resource that it asks for.
const ALGORITHM = { "urn:es256": "ES256", "urn:rs256": "RS256" };
const OPAQUE = "urn:opaque";
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const CALLBACK = "http://127.0.0.1/callback";

async function key(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, kid: alg, use: "sig" };
}

const server = createServer();
server.listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;

const jwks = { keys: [await key("ES256"), await key("RS256")] };
const provider = new Provider(issuer, {
  jwks,
  cookies: { keys: ["throwaway"] },
  clients: [
    { client_id: "service", client_secret: "secret", grant_types: ["client_credentials", EXCHANGE], redirect_uris: [],
      response_types: [] },
    { client_id: "app", token_endpoint_auth_method: "none", application_type: "native", redirect_uris: [CALLBACK],
      grant_types: ["authorization_code"], response_types: ["code"], backchannel_logout_session_required: true,
      ...(process.env.LOGOUT_URI ? { backchannel_logout_uri: process.env.LOGOUT_URI } : {}) },
  ],
  scopes: ["openid", "inventory:read"],
  fetch: (url, { dispatcher, ...options }) => fetch(url, options), // its own refuses loopback
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  features: {
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    dPoP: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => "urn:es256",
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: "inventory:read",
        audience: "api-service",
        ...(resource === OPAQUE
          ? { accessTokenFormat: "opaque" }
          : { accessTokenFormat: "jwt", jwt: { sign: { alg: ALGORITHM[resource] } } }),
      }),
    },
  },
});

// Token exchange (RFC 8693) is a grant type that the provider leaves to whoever runs it.
async function exchange(ctx) {
  const { client, params } = ctx.oidc;
  const own = createLocalJWKSet({ keys: jwks.keys.map(({ d, p, q, dp, dq, qi, ...rest }) => rest) });
  const { payload } = await jwtVerify(params.subject_token ?? "", own, { issuer }).catch(() => {
    throw new errors.InvalidRequest("subject_token");
  });
  if (params.audience !== "stock-api") throw new errors.InvalidTarget();
  const token = new provider.AccessToken({ client, accountId: payload.sub, gty: "token_exchange", scope: payload.scope });
  const signed = { audience: params.audience, accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } };
  token.resourceServer = new provider.ResourceServer("urn:stock", signed);
  ctx.body = {
    access_token: await token.save(), issued_token_type: ACCESS_TOKEN, token_type: "Bearer", expires_in: token.expiration,
  };
}
const EXCHANGED = ["subject_token", "subject_token_type", "requested_token_type", "audience", "resource", "scope"];
provider.registerGrantType(EXCHANGE, exchange, EXCHANGED, ["audience", "resource"]);
provider.on("backchannel.error", (_, error) => console.log("logout:", error.message, error.cause?.message ?? ""));
server.on("request", provider.callback());
console.log(issuer);
