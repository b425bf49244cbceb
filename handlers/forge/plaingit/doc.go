// Package plaingit is the forge that needs no forge: bare repositories in a
// folder, served over git's smart HTTP. It hides the git processes, the hooks
// and their socket, and the way from a ref that moved to an accepted event.
//
// # How a push becomes an event, exactly once
//
// The HTTP handler executes git receive-pack. Its pre-receive hook is our own
// binary (RunHook), which tells the server over a unix socket what is about
// to move. The server writes the events as intents, durably, or refuses the
// push; only then does git move refs. The post-receive hook tells what really
// moved; those events are appended to the queue and the intents dropped.
// Between the two hooks a repository is locked, so pushes to one repository
// are appended in the order in which git applied them.
//
// Whatever is cut off in between (a killed hook, a crash, Redis gone) leaves a
// ref that differs from the last accepted head. Reconciliation finds it, when
// the push ends, at start and every minute, and appends the intent's event:
// the same ID, so that it counts once.
//
// The post-receive hook then stays and writes the decision and the builds'
// logs to the pusher ("remote: …"). A pusher who goes away ends that, and
// nothing else.
package plaingit
