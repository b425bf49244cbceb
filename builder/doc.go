// Package builder is the domain: what an event comes to, what a build goes
// through, and what it causes. It knows no forge, no Redis, no BuildKit and no
// HTTP; it owns the interfaces that it calls, beside the code that calls them.
//
// # The life of a build
//
// One push goes through these rooms, in this order, and never back:
//
//	handlers       verify, accept: an [Event], durable, numbered
//	[Dispatcher]   one event of a repository at a time: open the commit, put
//	               the ref's events in [Order], read .registry-build.yml and
//	               what changed, and
//	[Plan]         (pure) event + file -> builds, tags, and reasons
//	[Inbox].Decide builds queued, older ones superseded: one step
//	[Worker]       claims a build under a fenced lease and runs an attempt:
//	                 source -> context, bases pinned -> [InputKey]
//	                 same input built before: its digest is promoted
//	                 else [Solver].Solve: BuildKit pushes by digest only
//	                 [Registry].Put: every tag, guarded by [MayMove]
//	[Courier]      carries what follows out of the outbox: reports, triggers
//
// What the dispatcher makes of an event:
//
//	branch, tag       its file at the commit; the default branch's file says
//	                  what may be reached, and which of the tags set
//	                  triggers off, unless the ref is protected
//	pull request      the same, never with authority; of the head or the merge
//	  from a fork     the base branch's file; waits for /ok-to-build of that
//	                  commit, then the fork lane: no secrets, nothing pushed
//	  closed          its builds end and its tags go
//	merge queue       like a pull request, of the group's commit, without tags
//	command, button   who may use it, then the events that it stands for,
//	                  planned by hand, and an [Answer]; [ParseCommand] reads
//	                  the line, [Commands] is the table
//	installation      let in: heads seeded; shut out: everything ends
//	somebody's own    nothing is built: the triggers that the default branch's
//	push of an image  file has registered for it, and the operator's, fire
//
// # The states of a build
//
//	queued ──claim──▶ running ──digest──▶ pushing ──tags──▶ succeeded | promoted
//	  │                 │  │                 │  └─────────▶ failed
//	  │                 │  └──▶ failed       │
//	  │                 ├──stop──▶ cancelled | superseded ◀──stop──┤
//	  ├──▶ cancelled (asked, or the ref is gone)
//	  ├──▶ superseded (a newer push of the same image and ref was accepted)
//	  └◀── lease lost or handed back: running | pushing -> queued, attempt + 1
//
//	pushed: the record of somebody's own push, which begins in it
//
// Terminal states are final: a rebuild is a new build, and a commit's status
// shows the newest build of that image at that commit. Running and pushing
// move by scripts that check worker and attempt, so a worker that was taken
// for dead changes nothing when it wakes; the same check stands before every
// outward effect.
//
// # Where things are
//
// A file is called like its main noun, and these groups by how they begin:
//
//	event, build, report, registration, solver, registry, forge, credential:
//	                  the types, and the interfaces between the rooms
//	dispatch, decide, pulls, commander, imagepush:
//	                  the [Dispatcher], by what has happened; authority, changed
//	                  and register are what it looks up
//	plan, planner, rule, destination, tags, scope, holdback, policy, compare:
//	                  [Plan]; suggest is what to write where there is no file
//	command, command…, carry:
//	                  one file for each of the [Commands], and what they share
//	worker, attempt, prepare, inputkey, secrets, baselogin, redact:
//	                  the [Worker], and one attempt of a build
//	courier, slots, fire, tell, tellrun, deployment, untag, aggregate, describe:
//	                  the [Courier], by kind of effect, and its words
//	order, guard, reconcile, reconcile_…, watch:
//	                  pushes in order: of a ref, of a tag, and what was never told
//
// # What is told to whom
//
// A [Failure] carries a sentence for the person who pushed and, apart, the
// error for the operator's log. The first is stored and shown, the second is
// logged once, where it happened.
package builder
