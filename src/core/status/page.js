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
      if (!then.hasAttribute(a.name)) now.removeAttribute(a.name);
    });
    Array.from(then.attributes).forEach(function (a) {
      if (now.getAttribute(a.name) !== a.value) now.setAttribute(a.name, a.value);
    });
    var old = Array.from(now.childNodes), fresh = Array.from(then.childNodes);
    fresh.forEach(function (node, at) {
      if (at < old.length) update(old[at], node);
      else now.appendChild(document.importNode(node, true));
    });
    old.slice(fresh.length).forEach(function (node) { node.remove(); });
  }
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
      ["when", "main"].forEach(function (id) {
        var now = document.getElementById(id), then = page.getElementById(id);
        if (!then) throw new Error("another page");
        update(now, then);
      });
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
