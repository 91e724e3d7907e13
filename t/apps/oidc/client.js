// node client.js URL LOGINS: that many people at once, each of whom logs in with a browser that keeps cookies,
// consents, and comes back to a shop that redeems the code and asks twice who they are.
const sessions = require("../lib/sessions.js");

const [url, logins] = process.argv.slice(2);

// What a browser does: follows redirects with its cookies until it leaves the provider, and sends forms.
class Browser {
  cookies = [];
  names = new Set();

  async go(target, form) {
    for (;;) {
      const { pathname } = new URL(target);
      const own = this.cookies.filter((cookie) => `${pathname}/`.startsWith(cookie.path.replace(/\/?$/, "/")));
      const response = await fetch(target, {
        method: form ? "POST" : "GET",
        body: form && new URLSearchParams(form),
        redirect: "manual",
        headers: { Cookie: own.map(({ name, value }) => `${name}=${value}`).join("; ") },
      });
      this.names.add(response.headers.get("X-Backend"));
      for (const text of response.headers.getSetCookie()) this.keep(text);
      const location = response.headers.get("Location");
      if (!location) return { status: response.status, text: await response.text() };
      target = new URL(location, target).href;
      if (!target.startsWith(url)) return { target };
      form = undefined;
    }
  }

  keep(text) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(text);
    const path = /;\s*path=([^;]*)/i.exec(text)?.[1] ?? "/";
    this.cookies = this.cookies.filter((cookie) => cookie.name !== name || cookie.path !== path);
    const expires = /;\s*expires=([^;]*)/i.exec(text)?.[1];
    if (!expires || new Date(expires) > new Date()) this.cookies.push({ name, value, path });
  }
}

import(require.resolve("openid-client")).then((oidc) => sessions(logins, async (number) => {
  const browser = new Browser();
  const counted = async (target, options) => {
    const response = await fetch(target, options);
    browser.names.add(response.headers.get("X-Backend"));
    return response;
  };
  const server = { issuer: url, authorization_endpoint: `${url}/auth`, token_endpoint: `${url}/token`,
    userinfo_endpoint: `${url}/me`, jwks_uri: `${url}/jwks` };
  const method = oidc.ClientSecretPost("shop's secret");
  const shop = new oidc.Configuration(server, "shop", { id_token_signed_response_alg: "EdDSA" }, method);
  oidc.allowInsecureRequests(shop);
  shop[oidc.customFetch] = counted;

  const verifier = oidc.randomPKCECodeVerifier();
  const asked = oidc.buildAuthorizationUrl(shop, {
    redirect_uri: "http://shop.test/back", scope: "openid", code_challenge_method: "S256",
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
  });
  let page = await browser.go(asked.href);
  for (let steps = 0; !page.target; steps++) {
    const form = /<form[^>]*action="([^"]+)"/.exec(page.text)?.[1];
    if (!form || page.status >= 400 || steps > 3) {
      throw new Error(`${page.status} ${page.text.replace(/<[^>]*>|\s+/g, " ").slice(0, 120)}`);
    }
    const prompt = /name="prompt" value="(\w+)"/.exec(page.text)?.[1];
    page = await browser.go(new URL(form, url).href, { prompt, login: `person-${number}`, password: "any" });
  }
  const tokens = await oidc.authorizationCodeGrant(shop, new URL(page.target), { pkceCodeVerifier: verifier });
  for (let asks = 0; asks < 2; asks++) {
    const { sub } = await oidc.fetchUserInfo(shop, tokens.access_token, oidc.skipSubjectCheck);
    if (sub !== `person-${number}`) throw new Error(`is taken for ${sub}`);
  }
  return sessions.one(browser.names);
}));
