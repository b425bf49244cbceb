// Package registry reads and tags images in OCI registries. It hides how a
// registry is spoken to (which scheme, which token, what may be tried again
// and when) and keeps "latest means latest": tags move forward only, for a
// whole request or not at all.
package registry
