(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const study = byId("study").dataset.study;
  const pairs = [...document.querySelectorAll("[data-pair]")];
  const buttons = [...document.querySelectorAll("[data-field]")];
  const storageKey = "stablellava-rating-" + study;
  const blank = () => ({ fits: null, picture_good: null, comment: "" });
  let state = { rater: "", at: 0, answers: {} };

  const warn = (text) => {
    byId("problem").textContent = text;
    byId("problem").hidden = !text;
  };
  const load = () => {
    try {
      const kept = JSON.parse(localStorage.getItem(storageKey));
      if (kept && typeof kept.answers === "object" && Number.isInteger(kept.at)) state = kept;
    } catch (error) {
      warn("What was kept in this browser cannot be read (" + error.message + "); you begin anew.");
    }
    state.at = Math.min(Math.max(state.at, 0), pairs.length - 1);
  };
  const keep = () => {
    try {
      localStorage.setItem(storageKey, JSON.stringify(state));
    } catch (error) {
      warn("This browser keeps nothing (" + error.message + "): download your ratings before you close the page.");
    }
  };
  const current = () => pairs[state.at].dataset.pair;
  const answerOf = (pair) => state.answers[pair] || blank();
  const isRated = (pair) => answerOf(pair).fits !== null;

  const show = () => {
    pairs.forEach((pair, index) => { pair.hidden = index !== state.at; });
    const answer = answerOf(current());
    buttons.forEach((button) => {
      const given = answer[button.dataset.field];
      button.setAttribute("aria-pressed", String(given !== null && String(given) === button.dataset.value));
    });
    byId("comment").value = answer.comment;
    const rated = pairs.filter((pair) => isRated(pair.dataset.pair)).length;
    byId("progress").value = rated;
    byId("count").textContent = rated + " of " + pairs.length + " rated";
    byId("place").textContent = "pair " + (state.at + 1) + " of " + pairs.length;
  };
  const answer = (field, value) => {
    const given = answerOf(current());
    // The same answer again takes it back.
    const isAgain = field !== "comment" && given[field] === value;
    state.answers[current()] = { ...given, [field]: isAgain ? null : value };
    keep();
    show();
  };
  const go = (index) => {
    state.at = Math.min(Math.max(index, 0), pairs.length - 1);
    keep();
    show();
  };
  const goToUnrated = () => {
    const order = pairs.map((_, step) => (state.at + 1 + step) % pairs.length);
    const found = order.find((index) => !isRated(pairs[index].dataset.pair));
    if (found === undefined) warn("All pairs are rated: download your ratings.");
    else go(found);
  };
  const lines = () => pairs
    .map((pair) => pair.dataset.pair)
    .filter((pair) => state.answers[pair])
    .map((pair) => JSON.stringify({ study_id: study, pair_id: pair, rater: state.rater, ...answerOf(pair) }) + "\n");
  const download = () => {
    state.rater = byId("rater").value.trim();
    if (!state.rater) {
      warn("Give your name first: it tells your ratings from those of others.");
      byId("rater").focus();
      return;
    }
    keep();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(lines(), { type: "application/x-ndjson" }));
    link.download = study + "." + state.rater.replace(/[^A-Za-z0-9_-]+/g, "_") + ".jsonl";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    warn("");
  };
  const keys = {
    1: () => answer("fits", "yes"),
    2: () => answer("fits", "partly"),
    3: () => answer("fits", "no"),
    g: () => answer("picture_good", true),
    b: () => answer("picture_good", false),
    c: () => byId("comment").focus(),
    u: goToUnrated,
    ArrowLeft: () => go(state.at - 1),
    ArrowRight: () => go(state.at + 1),
  };

  load();
  byId("rater").value = state.rater;
  show();
  buttons.forEach((button) => button.addEventListener("click", () => {
    const value = button.dataset.value;
    answer(button.dataset.field, button.dataset.field === "fits" ? value : value === "true");
  }));
  byId("comment").addEventListener("input", (event) => answer("comment", event.target.value));
  byId("rater").addEventListener("input", (event) => { state.rater = event.target.value.trim(); keep(); });
  byId("back").addEventListener("click", keys.ArrowLeft);
  byId("next").addEventListener("click", keys.ArrowRight);
  byId("open").addEventListener("click", goToUnrated);
  byId("save").addEventListener("click", download);
  document.addEventListener("keydown", (event) => {
    if (event.target.tagName === "INPUT") {
      if (event.key === "Escape" || event.key === "Enter") event.target.blur();
      return;
    }
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
})();
