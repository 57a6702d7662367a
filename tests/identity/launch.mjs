// Goes through a SMART launch in a browser as a user does, and tells what came of it as JSON.
// Arguments: playwright-core's directory, the browser, the application's URL, name, password.
import { createRequire } from "node:module";

const [driver, browserPath, application, name, password] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(driver);

const found = { titles: [], complaints: [], referers: [], result: "", framed: "" };
const browser = await chromium.launch({
  executablePath: browserPath,
  args: [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-gpu",
  ],
});
try {
  const tab = await browser.newPage();
  tab.setDefaultTimeout(60_000);
  tab.on("console", (message) => {
    if (message.type() === "error") found.complaints.push(message.text().slice(0, 300));
  });
  tab.on("request", (request) => {
    const referer = request.headers().referer;
    if (referer && !request.url().startsWith(new URL(referer).origin)) found.referers.push(referer);
  });

  await tab.goto(application);
  await tab.getByLabel("Name").fill(name);
  await tab.getByLabel("Password").fill(password);
  found.titles.push(await tab.title());
  await tab.getByRole("button", { name: "Log in" }).click();

  await tab.getByLabel("Name or number").fill("chal");
  found.titles.push(await tab.title());
  await tab.getByRole("button", { name: "Find" }).click();
  await tab.getByLabel("Peter Chalmers").check();
  await tab.getByRole("button", { name: "Allow" }).click();

  await tab.locator("#result").filter({ hasText: /./ }).waitFor();
  found.result = await tab.locator("#result").innerText();
  found.url = tab.url();

  found.complaints.push("-- framed --");
  await tab.goto(`${application}/framed`);
  await tab.waitForTimeout(1500);
  found.framed = await tab.frames()[1].content().catch(() => "");
} catch (error) {
  console.error(JSON.stringify(found));
  throw error;
} finally {
  await browser.close();
}
console.log(JSON.stringify(found));
