// Images that go with the next message.

import { $, el, notify } from "./dom.js";
import { isImage } from "./files.js";

const LARGEST = 20_000_000; // bytes

const asAddress = (file) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });

/** What was dropped, pasted or chosen, as `data:` addresses. */
export class Images {
  urls = [];

  /** @param {() => string | null} refusal Why no image can be sent now; null where it can. */
  constructor(refusal) {
    this.refusal = refusal;
    const files = $("attach-file");
    $("attach").addEventListener("click", () => this.#allowed() && files.click());
    files.addEventListener("change", async () => {
      await this.add(files.files);
      files.value = "";
    });
    $("prompt").addEventListener("paste", (event) => {
      const pasted = [...event.clipboardData.files];
      if (!pasted.length) return;
      event.preventDefault();
      this.add(pasted);
    });
    const main = document.querySelector("main");
    main.addEventListener("dragover", (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());
    main.addEventListener("drop", (event) => {
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      this.add(event.dataTransfer.files);
    });
  }

  #allowed() {
    const why = this.refusal();
    if (why) notify(why, { error: true });
    return !why;
  }

  async add(files) {
    const read = [...files]; // a file field forgets its files when it is emptied
    if (!this.#allowed()) return;
    for (const file of read) {
      if (file.size > LARGEST) notify(`${file.name} is larger than 20 MB`, { error: true });
      else {
        const url = await asAddress(file);
        if (isImage(url)) this.urls.push(url);
        else notify(`${file.name} is no PNG, JPEG, GIF or WebP`, { error: true });
      }
    }
    this.show();
  }

  /** Return the images, which are then gone from here. */
  take() {
    const taken = this.urls;
    this.urls = [];
    this.show();
    return taken;
  }

  show() {
    $("pictures").replaceChildren(...this.urls.map((url, n) => {
      const remove = () => {
        this.urls.splice(n, 1);
        this.show();
        $("prompt").focus();
      };
      return el("span", { class: "picture-of" }, el("img", { src: url, alt: `Image ${n + 1}` }),
        el("button", { type: "button", class: "quiet", "aria-label": `Remove image ${n + 1}`, onclick: remove }, "✕"));
    }));
  }
}
