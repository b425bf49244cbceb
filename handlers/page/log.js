// Follows the log of a build. The browser itself reconnects and sends
// Last-Event-ID, so nothing is shown twice.
const log = document.getElementById("log");
const source = new EventSource(log.dataset.log);
source.addEventListener("log", (event) => {
  const atEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 40;
  log.append(JSON.parse(event.data).text);
  if (atEnd) window.scrollTo(0, document.body.scrollHeight);
});
source.addEventListener("end", (event) => {
  source.close();
  const end = JSON.parse(event.data);
  const state = document.getElementById("state");
  if (state.textContent !== end.state) location.reload();
  document.getElementById("status").textContent = end.status;
});
