package builder

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"maps"
	"slices"
)

// inputKeyVersion changes when the meaning of a part does: keys of another
// version are never equal, and the worst of it is one build more.
const inputKeyVersion = "v1"

// InputKeyParts is everything that decides what a build makes. Two builds with
// equal parts would make the same image, so the second only needs the tags of
// the first's digest.
type InputKeyParts struct {
	Lane        Lane              // what a fork built never stands in for a trusted build
	Repository  string            // Repository.Key: nobody's digest for somebody else's source
	Destination string            // the image repository, where the digest must be
	Frontend    string            // the frontend with its version: the "# syntax=" that counts
	BuildKit    string            // the daemon's version
	Dockerfile  []byte            // as it stands in the commit, or was uploaded
	Context     string            // Context.Hash: paths, modes and contents after .dockerignore
	Args        map[string]string // expanded
	Target      string
	Platforms   []string          // in any order: the index does not depend on it
	Bases       map[string]string // image reference -> digest
	Output      map[string]string // exporter options: compression, media types, epoch, …
	Secrets     map[string]string // id -> version of the credential, never its value
	Network     string
}

// InputKey is the key, version 1: hex SHA-256 with "v1:" before it. Every text
// is written with its length before it, so that no two lists of parts come out
// as the same bytes.
func InputKey(p InputKeyParts) string {
	h := sha256.New()
	writeText(h, inputKeyVersion)
	writeText(h, string(p.Lane))
	writeText(h, p.Repository)
	writeText(h, p.Destination)
	writeText(h, p.Frontend)
	writeText(h, p.BuildKit)
	writeText(h, string(p.Dockerfile))
	writeText(h, p.Context)
	writeMap(h, p.Args)
	writeText(h, p.Target)
	platforms := slices.Sorted(slices.Values(p.Platforms))
	writeCount(h, len(platforms))
	for _, platform := range platforms {
		writeText(h, platform)
	}
	writeMap(h, p.Bases)
	writeMap(h, p.Output)
	writeMap(h, p.Secrets)
	writeText(h, p.Network)
	return inputKeyVersion + ":" + hex.EncodeToString(h.Sum(nil))
}

func writeMap(w io.Writer, m map[string]string) {
	writeCount(w, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		writeText(w, k)
		writeText(w, m[k])
	}
}

// writeText writes to a hash, which never fails.
func writeText(w io.Writer, s string) {
	writeCount(w, len(s))
	_, _ = io.WriteString(w, s)
}

func writeCount(w io.Writer, n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	_, _ = w.Write(b[:])
}
