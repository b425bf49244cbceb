// Package store keeps everything that must outlive a process in Redis: the
// inbox of events, the queue of builds and its leases, what builds came to,
// their logs, input keys, statuses, the outbox, and where tags stand. It hides
// Redis: no other package knows a key or a script.
//
// keys.go draws the grammar of the keys. Every change of control state is one
// Lua script (folder lua), so it happens whole or not at all, and a script
// that acts for a lease checks the lease itself: who lost it gets
// builder.ErrLeaseLost and has changed nothing. Times are the server's.
//
// How the parts work:
//
//   - Inbox: a list of events for each repository, and a sorted set of the
//     repositories by when they are due. Leasing an event pushes its
//     repository's time into the future, so a dispatcher that dies gives it
//     back by doing nothing.
//   - Queue: a sorted set of builds for each repository and priority, and a
//     ring of repositories for each priority. A claim serves the first of the
//     ring and puts it at the end; a repository at its limit leaves the rings
//     until one of its builds ends. The attempt is the fencing token. Leases
//     that ran out are found by whoever claims next.
//   - Details of a build (its plan, the results of its attempts, its log) are
//     under a hash tag of their own, so a cluster spreads them. They are
//     written first, under a name that nobody reads; the script that commits
//     the state names the one that counts. A crash in between leaves a field
//     that expires.
//   - Outbox: a sorted set of effects by when they are due, and a version for
//     each. A stream would give neither delays nor coalescing: here adding an
//     effect that waits makes it newer, and Done drops only the version that
//     was done. The end of a build is urgent: it ends whatever wait its effect
//     is in. What fires triggers is in a set of its own, so that it holds up no
//     report. Leases are short and held by whoever carries the effect.
//   - Trigger runs: the record is a detail of its build; its state, which
//     lists and retries go by, is control's. Settle writes both and ends the
//     effect.
//   - Threads: what we have to say on one pull request or commit, a hash with
//     one remark for each topic. An older remark that comes late changes
//     nothing, so effects may be carried in any order.
//   - Repositories: what the forge last said of them, the heads that were
//     accepted, so that missed events can be found, pauses and approvals. When
//     we are shut out all but the description goes.
//   - Logs: a stream while they grow, with the middle cut out when they grow
//     too long, and one zstd frame when the build has ended. Entries keep
//     their numbers, so reading on works across the change.
//   - Wake-ups: scripts publish what they touched on one channel; Run listens
//     and wakes the goroutines that wait for it. Messages may be lost, so
//     everything that waits also looks again every Options.Poll. No connection
//     is ever blocked in Redis, because cancelling a context does not end a
//     blocking read.
//
// Calls answer quickly when Redis is gone, with builder.ErrUnavailable (use
// Open for a client that is tuned for it). Calls that wait for something
// (NextEvent, Claim, NextEffects, AwaitBuild, AwaitDecision, Lock, a followed
// ReadLog) ride an outage out and end only with their context.
//
// Redis 7 or newer is needed, with its append-only file synced always where
// nothing may be lost.
package store
