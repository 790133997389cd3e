/** Starts the page. */

import { render } from "preact";
import { Report } from "./content/report";
import { App } from "./shell/app";
import "./shell/page.css";
import { followAddress } from "./state/address";
import { Store } from "./state/store";

const place = document.getElementById("page")!;

try {
  const store = new Store(await Report.read());
  followAddress(store);
  render(<App store={store} />, place);
} catch (wrong) {
  place.textContent = `This page cannot be shown: ${wrong instanceof Error ? wrong.message : wrong}`;
  throw wrong;
}
