// Package webhook tells a web server what became of a build: one signed JSON
// POST. It hides the payload's public shape, the signature, and the guard
// that keeps a repository's file from reaching into the operator's network.
package webhook
