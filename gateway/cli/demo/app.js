// The demo's browser application: OpenID Connect login (authorization code with PKCE), then calls with a bearer token.
// The token lives in this page's memory only: a reload forgets it.

const SHOWN = ["x-request-id", "ratelimit", "retry-after", "www-authenticate"];
const MEANING = {
  200: "allowed: the backend answered",
  401: "refused: who is this?",
  403: "refused: known, but not allowed",
  429: "refused: too many requests",
};

const $ = (id) => document.getElementById(id);
const config = await (await fetch("config.json")).json();
const redirectUri = location.origin + "/";
let token = null;

$("origin").textContent = location.origin;
$("issuer").textContent = config.issuer;
$("gateway").textContent = config.gateway;
$("accept").href = config.gateway + "/health";

function base64url(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function random(bytes) {
  return base64url(crypto.getRandomValues(new Uint8Array(bytes)));
}

function claimsOf(jwt) {
  const part = jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
}

async function logIn() {
  const flow = { state: random(16), nonce: random(16), verifier: random(48) };
  sessionStorage.setItem("flow", JSON.stringify(flow));
  const challenge = base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(flow.verifier)));
  const query = new URLSearchParams({
    response_type: "code", client_id: config.client_id, redirect_uri: redirectUri, scope: "openid inventory:read",
    state: flow.state, nonce: flow.nonce, code_challenge: challenge, code_challenge_method: "S256",
  });
  location.assign(`${config.issuer}/authorize?${query}`);
}

// Back from the provider: the answer belongs to our own question, or it is dropped (RFC 6749 section 10.12, RFC 9207).
async function finishLogIn() {
  const answer = new URLSearchParams(location.search);
  const flow = JSON.parse(sessionStorage.getItem("flow") ?? "null");
  sessionStorage.removeItem("flow");
  history.replaceState(null, "", "/");
  if (!answer.has("code") && !answer.has("error")) return;
  if (!flow || answer.get("state") !== flow.state || answer.get("iss") !== config.issuer) {
    return say("The login was not started here: log in again.");
  }
  if (answer.has("error")) return say(`The provider refused: ${answer.get("error")}.`);
  const form = new URLSearchParams({
    grant_type: "authorization_code", client_id: config.client_id, redirect_uri: redirectUri,
    code: answer.get("code"), code_verifier: flow.verifier,
  });
  const got = await fetch(`${config.issuer}/token`, { method: "POST", body: form });
  const tokens = await got.json();
  if (!got.ok) return say(`The provider refused: ${tokens.error}.`);
  if (claimsOf(tokens.id_token).nonce !== flow.nonce) return say("The provider answered another login: log in again.");
  token = tokens.access_token;
  say(`Logged in as ${claimsOf(token).sub}, with ${claimsOf(token).scope || "no scopes"}.`);
}

function say(text) {
  $("who").textContent = text;
  $("login").hidden = token !== null;
  $("logout").hidden = token === null;
}

// A browser does not tell a page why a request failed; that even the open /health cannot be had means: certificate.
async function reachable() {
  try {
    await fetch(`${config.gateway}/health`, { cache: "no-store" });
    return true;
  } catch {
    return false;
  }
}

async function watchCertificate() {
  const reached = await reachable();
  $("certificate").hidden = reached;
  for (const button of $("calls").children) button.disabled = !reached;
  if (!reached) setTimeout(watchCertificate, 2000);
}

async function call(button) {
  const headers = token && !("anonymous" in button.dataset) ? { Authorization: `Bearer ${token}` } : {};
  $("answer").hidden = false;
  try {
    await show(await fetch(config.gateway + button.dataset.path, { method: button.dataset.method, headers }));
  } catch {
    $("status").textContent = "No answer that this page may read.";
    for (const id of ["meaning", "headers", "body"]) $(id).textContent = "";
    watchCertificate();
  }
}

async function show(answer) {
  $("status").textContent = answer.status;
  $("status").className = answer.ok ? "good" : "bad";
  $("meaning").textContent = MEANING[answer.status] ?? "";
  $("headers").textContent = SHOWN.filter((name) => answer.headers.has(name))
    .map((name) => `${name}: ${answer.headers.get(name)}`).join("\n");
  const text = await answer.text();
  try {
    $("body").textContent = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    $("body").textContent = text;
  }
}

$("login").addEventListener("click", logIn);
$("logout").addEventListener("click", () => { token = null; say("Nobody is logged in."); });
for (const button of $("calls").children) button.addEventListener("click", () => call(button));
watchCertificate();
await finishLogIn();
