// Where conversations are kept: the browser's IndexedDB, and nowhere else.

const NAME = "chatwright";

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Conversations by their ids; `heads` have what a list of them shows. */
export class Store {
  static async open() {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("heads", { keyPath: "id" });
      request.result.createObjectStore("talks", { keyPath: "id" });
    };
    const store = new Store();
    store.db = await settled(request);
    store.db.onversionchange = () => store.db.close();
    return store;
  }

  #stores(mode) {
    const transaction = this.db.transaction(["heads", "talks"], mode);
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
    return { heads: transaction.objectStore("heads"), talks: transaction.objectStore("talks"), done };
  }

  /** Those of all conversations, the last one first. */
  async heads() {
    const all = await settled(this.#stores("readonly").heads.getAll());
    return all.sort((a, b) => b.updated - a.updated);
  }

  async head(id) {
    return settled(this.#stores("readonly").heads.get(id));
  }

  async get(id) {
    return settled(this.#stores("readonly").talks.get(id));
  }

  async all() {
    return settled(this.#stores("readonly").talks.getAll());
  }

  /** Keep conversations, all of them or none. */
  async put(...talks) {
    const stores = this.#stores("readwrite");
    for (const talk of talks) {
      stores.heads.put({ id: talk.id, title: talk.title, updated: talk.updated });
      stores.talks.put(talk);
    }
    await stores.done;
  }

  async delete(id) {
    const stores = this.#stores("readwrite");
    stores.heads.delete(id);
    stores.talks.delete(id);
    await stores.done;
  }
}
