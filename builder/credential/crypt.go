package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
)

// loadKey reads the key file. The error is os.ErrNotExist when there is none;
// every other one is a sentence for the operator.
func loadKey(path string) (*age.X25519Identity, error) {
	data, err := readPrivate(path, "credential key")
	if err != nil {
		return nil, err
	}
	ids, err := age.ParseIdentities(bytes.NewReader(data))
	if err == nil && len(ids) == 1 {
		if id, ok := ids[0].(*age.X25519Identity); ok {
			return id, nil
		}
	}
	// age's own error may quote the file: it does not go further.
	return nil, fmt.Errorf("credential key %s is no age key: it needs one line that begins with AGE-SECRET-KEY-1, as age-keygen writes it", path)
}

// createKey makes a key that appears whole or not at all.
func createKey(path string) (*age.X25519Identity, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make credential key: %w", err)
	}
	text := fmt.Sprintf("# registry-build credential key; keep a copy apart from the data\n# public key: %s\n%s\n", id.Recipient(), id)
	switch err := createFile(path, []byte(text)); {
	case errors.Is(err, os.ErrExist): // another process was first
		return loadKey(path)
	case err != nil:
		return nil, fmt.Errorf("make credential key: %w", err)
	}
	return id, nil
}

func encrypt(key *age.X25519Identity, all map[string]entry) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, key.Recipient())
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(w).Encode(all); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func decrypt(key *age.X25519Identity, r io.Reader) (map[string]entry, error) {
	plain, err := age.Decrypt(r, key)
	if err != nil {
		return nil, err
	}
	// Read to the end: age authenticates the last chunk there.
	data, err := io.ReadAll(plain)
	if err != nil {
		return nil, err
	}
	all := map[string]entry{}
	if err := json.Unmarshal(data, &all); err != nil {
		// The decoder's error may quote what it read.
		return nil, errors.New("the decrypted file is not what this version writes")
	}
	return all, nil
}

// readPrivate reads a small file that only its owner may read.
func readPrivate(path, what string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", what, err)
	}
	defer f.Close()
	fi, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s cannot be read: %w", what, err)
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s %s is no regular file", what, path)
	case fi.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s %s has mode %04o and others than its owner can reach it: run chmod 600 %s", what, path, fi.Mode().Perm(), path)
	}
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", what, err)
	}
	return data, nil
}

// replaceFile writes the file whole, mode 0600, and has it on the disk when it
// returns: a crash leaves the old content or the new one.
func replaceFile(path string, data []byte) error {
	tmp, err := writeTemp(path, data)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return syncDir(path)
}

// createFile is replaceFile for a file that must not be there yet; the error
// is os.ErrExist when somebody else was first.
func createFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := writeTemp(path, data)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); err != nil {
		return err
	}
	return syncDir(path)
}

// writeTemp writes a file beside path, mode 0600, and syncs it.
func writeTemp(path string, data []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
