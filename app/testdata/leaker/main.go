// Command leaker prints secrets in the ways that programs do: as they are, in
// pieces, base64, in addresses, in JSON. Each argument is a variable's name or
// a file's path. With an agent it signs by it, too.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh/agent"
)

func main() {
	for _, name := range os.Args[1:] {
		value := os.Getenv(name)
		if strings.HasPrefix(name, "/") {
			data, err := os.ReadFile(name)
			if err != nil {
				fail(err)
			}
			value = string(data)
		}
		if value == "" {
			fail(fmt.Errorf("%s is empty", name))
		}
		leak(value)
	}
	if socket := os.Getenv("SSH_AUTH_SOCK"); socket != "" {
		sign(socket)
	}
}

func leak(value string) {
	fmt.Println("raw:", value)
	os.Stdout.WriteString("in pieces: ")
	for i := range 4 {
		os.Stdout.WriteString(value[i*len(value)/4 : (i+1)*len(value)/4])
		time.Sleep(60 * time.Millisecond) // another message to the log
	}
	fmt.Println()
	for i := range 3 {
		text := []byte("user:"[:i+3] + value)
		fmt.Println("base64:", base64.StdEncoding.EncodeToString(text), base64.RawURLEncoding.EncodeToString(text))
	}
	fmt.Println("address: https://example.com/?a=" + url.QueryEscape(value) + "&b=" + url.PathEscape(value))
	quoted, err := json.Marshal(map[string]string{"value": value})
	if err != nil {
		fail(err)
	}
	fmt.Println("json:", string(quoted))
	fmt.Fprintln(os.Stderr, "error:", value)
}

func sign(socket string) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		fail(err)
	}
	client := agent.NewClient(conn)
	keys, err := client.List()
	if err != nil || len(keys) != 1 {
		fail(fmt.Errorf("keys %v: %v", keys, err))
	}
	if _, err := client.Sign(keys[0], []byte("text")); err != nil {
		fail(err)
	}
	fmt.Println("signed by the agent")
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(3)
}
