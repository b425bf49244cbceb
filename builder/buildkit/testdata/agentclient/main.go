// Command agentclient does with the agent behind SSH_AUTH_SOCK what a step can
// do: list, sign, and try to change it.
package main

import (
	"crypto/ed25519"
	"fmt"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func main() {
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run() error {
	conn, err := net.Dial("unix", os.Getenv("SSH_AUTH_SOCK"))
	if err != nil {
		return err
	}
	client := agent.NewClient(conn)
	keys, err := client.List()
	if err != nil {
		return err
	}
	for _, key := range keys {
		text := []byte("sign this")
		signature, err := client.Sign(key, text)
		if err != nil {
			return err
		}
		public, err := ssh.ParsePublicKey(key.Blob)
		if err != nil {
			return err
		}
		if err := public.Verify(text, signature); err != nil {
			return err
		}
		fmt.Println("signed by", ssh.FingerprintSHA256(public))
	}
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	if client.Add(agent.AddedKey{PrivateKey: other}) == nil || client.RemoveAll() == nil || client.Lock([]byte("x")) == nil {
		return fmt.Errorf("the agent was changed")
	}
	fmt.Println("refused to add, remove, lock")
	return nil
}
