// Package builder is the domain: what an event comes to, what a build goes
// through, and what it causes.
package builder
