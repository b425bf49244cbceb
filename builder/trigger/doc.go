// Package trigger hides what a finished build sets off: which triggers are
// due, how one attempt is limited and recorded, and when another one follows.
// Each kind of trigger (a webhook, a chat message, a workload) is a package
// below that implements Kind.
package trigger
