(function () {
  "use strict";
  var every = 5000, button = document.getElementById("pause"), note = document.getElementById("note");
  var paused = false, busy = false, first = {};
  // Changes what differs and leaves the rest: no flicker, and the focus stays where it is.
  function update(now, then) {
    if (now.nodeType !== then.nodeType || now.nodeName !== then.nodeName) {
      now.replaceWith(document.importNode(then, true));
      return;
    }
    if (now.nodeType === 3) {
      if (now.data !== then.data) now.data = then.data;
      return;
    }
    if (now.nodeType !== 1) return;
    Array.from(now.attributes).forEach(function (a) {
      if (a.name !== "open" && !then.hasAttribute(a.name)) now.removeAttribute(a.name);
    });
    Array.from(then.attributes).forEach(function (a) {
      if (now.getAttribute(a.name) !== a.value) now.setAttribute(a.name, a.value);
    });
    // By its key a row is known again, wherever it stands now, with what is open or typed in it.
    var fresh = Array.from(then.childNodes), wanted = new Set(fresh.map(key)), known = new Map();
    Array.from(now.childNodes).forEach(function (node) {
      if (!key(node)) return;
      if (wanted.has(key(node))) known.set(key(node), node);
      else node.remove();
    });
    fresh.forEach(function (node, at) {
      var old = now.childNodes[at] || null;
      var same = key(node) ? known.get(key(node)) : old && !key(old) ? old : null;
      if (same) {
        if (same !== old) now.insertBefore(same, old);
        update(same, node);
      } else now.insertBefore(document.importNode(node, true), old);
    });
    while (now.childNodes.length > fresh.length) now.lastChild.remove();
  }
  function key(node) { return node.nodeType === 1 ? node.getAttribute("data-k") : null; }
  // What became of the requests since the page was opened, beside what it was since long.
  function recent() {
    document.querySelectorAll(".verdict[data-with]").forEach(function (verdict) {
      var name = verdict.parentNode.querySelector("h2").textContent;
      var all = Number(verdict.dataset.with), hits = Number(verdict.dataset.hits);
      var then = first[name];
      if (!then || then.all > all) then = first[name] = { all: all, hits: hits };
      all -= then.all;
      hits -= then.hits;
      verdict.querySelector(".recent").textContent = all < 1 ? "" :
        "Since this page was opened: " + Math.floor(hits / all * 1000) / 10 + " % of " + all + " requests.";
    });
  }
  function refresh() {
    if (paused || busy || document.hidden) return;
    busy = true;
    fetch(location.href, { cache: "no-store", credentials: "same-origin" }).then(function (reply) {
      if (!reply.ok) throw new Error("status " + reply.status);
      return reply.text();
    }).then(function (text) {
      var page = new DOMParser().parseFromString(text, "text/html");
      var focused = document.activeElement;
      ["when", "main"].forEach(function (id) {
        var now = document.getElementById(id), then = page.getElementById(id);
        if (!then) throw new Error("another page");
        update(now, then);
      });
      // What was moved has lost it.
      if (focused && focused !== document.activeElement && focused.isConnected) {
        focused.focus({ preventScroll: true });
      }
      recent();
      note.textContent = "";
    }).catch(function (error) {
      note.textContent = "Not up to date: " + error.message + ".";
    }).then(function () { busy = false; });
  }
  recent();
  button.hidden = false;
  button.addEventListener("click", function () {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    if (!paused) refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, every);
})();
