// Opens OHIF in a browser and tells what it shows, as one line of JSON.
// Argument, as JSON: playwright-core's directory `driver`, `browser`, OHIF's URL `page`, our server's
// `root`, UIDs of `studies`; and who logs in, if somebody has to: `login` with `name` and `password`.
import { createRequire } from "node:module";

const { driver, browser: executablePath, page, root, studies, login } = JSON.parse(process.argv[2]);
const { chromium } = createRequire(import.meta.url)(driver);
const PATIENCE = 60_000;

const found = {
  list: "", asked: [], failed: [], complaints: [], pictures: [], before: null, renewed: 0, ended: null, after: null,
};
const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-gpu",
  ],
});
try {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  const tab = await context.newPage();
  tab.setDefaultTimeout(PATIENCE);
  tab.on("response", (response) => {
    if (response.url().startsWith(root)) {
      found.asked.push([response.status(), response.url().slice(root.length)]);
    }
  });
  tab.on("requestfailed", (request) => {
    // What a viewer asked for and does not want any more is no failure.
    if (request.url().startsWith(root) && request.failure().errorText !== "net::ERR_ABORTED") {
      found.failed.push(request.url());
    }
  });
  tab.on("console", (message) => {
    if (message.type() === "error") found.complaints.push(message.text().slice(0, 300));
  });

  // Time goes on as ever, until it is put forward.
  if (login) await tab.clock.install();
  await tab.goto(page);
  if (login) await logIn(tab);
  await tab.getByText("Łąka, Ján").first().waitFor();
  found.list = await tab.locator("body").innerText();

  for (const study of studies) {
    const small = tab.waitForResponse((response) => response.url().includes("/thumbnail"));
    await tab.goto(`${page}/viewer?StudyInstanceUIDs=${study}`);
    const drawn = await tab.waitForFunction(() => {
      const canvas = document.querySelector("canvas.cornerstone-canvas");
      if (!canvas || !canvas.width || !canvas.height) return "";
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const greys = new Set();
      for (let at = 0; at < data.length; at += 4) greys.add(data[at]);
      return greys.size > 16 ? canvas.toDataURL("image/png") : "";
    }, undefined, { polling: 200 });
    found.pictures.push(await drawn.jsonValue());
    await small;
  }
  if (login) {
    await renew(tab);
    await endElsewhere(tab);
    await logOut(tab);
  }
} catch (error) {
  // Whoever reads why it failed wants to know what happened until then.
  console.error(JSON.stringify({ ...found, pictures: found.pictures.length }));
  throw error;
} finally {
  await browser.close();
}
console.log(JSON.stringify(found));

async function logIn(tab) {
  await tab.getByLabel("Name").fill(login.name);
  found.before ??= { title: await tab.title(), asked: [...found.asked] };
  await tab.getByLabel("Password").fill(login.password);
  await tab.getByRole("button", { name: "Log in" }).click();
}

// Within OHIF, without loading it again, as its own buttons do.
async function go(tab, path) {
  await tab.evaluate((to) => {
    history.pushState({}, "", to);
    dispatchEvent(new PopStateEvent("popstate", { state: {} }));
  }, path);
}

// Until the token is about to expire.
async function renew(tab) {
  const renewed = tab.waitForResponse((response) => (
    response.url() === `${root}/auth/token` &&
      response.request().postData().includes("grant_type=refresh_token")
  ));
  await tab.clock.fastForward("09:10");
  found.renewed = (await renewed).status();
}

// The session, while OHIF still shows what it has; what the user does next leads to the login page.
async function endElsewhere(tab) {
  const other = await tab.context().newPage();
  await other.goto(`${root}/auth/logout`);
  await other.getByRole("button", { name: "Log out" }).click();
  await other.getByText("logged out").waitFor();
  await other.close();
  const headers = await tab.evaluate(() => {
    const key = Object.keys(sessionStorage).find((each) => each.startsWith("oidc.user:"));
    return { Authorization: `Bearer ${JSON.parse(sessionStorage.getItem(key)).access_token}` };
  });
  const list = `${root}/dicom-web/studies?limit=1`;
  while ((await tab.request.get(list, { headers })).status() !== 401);
  const sent = found.asked.length;
  await go(tab, "/");
  await tab.getByLabel("Password").waitFor();
  found.ended = found.asked.splice(sent);
  await logIn(tab);
  await tab.getByText("Łąka, Ján").first().waitFor();
}

async function logOut(tab) {
  const sent = found.asked.length;
  await go(tab, "/logout");
  await tab.getByLabel("Password").waitFor();
  found.after = { title: await tab.title(), asked: found.asked.slice(sent) };
}
