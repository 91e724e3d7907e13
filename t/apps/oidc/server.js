// node server.js PORT NAME ISSUER: an OpenID provider that keeps everything in its own memory. Its keys and
// the secret of its cookies are those of the others.
const crypto = require("crypto");

const [port, name, issuer] = process.argv.slice(2);

// The same key at each server: one made from a fixed seed.
const seed = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.alloc(32, 7)]);
const key = crypto.createPrivateKey({ key: seed, format: "der", type: "pkcs8" });

import(require.resolve("oidc-provider")).then(({ default: Provider }) => {
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "shop", client_secret: "shop's secret", redirect_uris: ["http://shop.test/back"],
      id_token_signed_response_alg: "EdDSA", token_endpoint_auth_method: "client_secret_post",
    }],
    cookies: { keys: ["cookies' secret"] },
    jwks: { keys: [{ ...key.export({ format: "jwk" }), use: "sig", alg: "EdDSA", kid: "one" }] },
    enabledJWA: { idTokenSigningAlgValues: ["EdDSA"] },
    pkce: { required: () => true },
  });
  provider.proxy = true;
  const answer = provider.callback();
  require("http").createServer((request, response) => {
    response.setHeader("X-Backend", name);
    answer(request, response);
  }).listen(Number(port), "127.0.0.1");
});
