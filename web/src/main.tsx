/** Starts the page. */

import { render } from "preact";
import { Report } from "./content/report";
import { App } from "./shell/app";
import "./shell/page.css";
import "./shell/shell.css";
import { followAddress } from "./state/address";
import { Store } from "./state/store";
import { VIEWS } from "./views";

const place = document.getElementById("page")!;

try {
  const store = new Store(await Report.read());
  const link = followAddress(
    store,
    VIEWS.map(({ name }) => name),
  );
  place.textContent = "";
  render(<App store={store} link={link} />, place);
} catch (wrong) {
  place.textContent = `This page cannot be shown: ${wrong instanceof Error ? wrong.message : wrong}`;
  throw wrong;
}
