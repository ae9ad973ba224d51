// Kms-demo serves a KMS stand-in on a loopback port, for `make demo-kms` and
// for trying entrypoint without an AWS account. It prints the environment to
// use, one variable a line, and then serves until it is stopped:
//
//	kms-demo                       # prints AWS_ENDPOINT_URL_KMS=... and more
//	kms-demo -listen 127.0.0.1:9999
//	kms-demo -service 5ms          # the time that each answer takes
//
// It protects nothing: see package kmstest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/codeontap/entrypoint/internal/kms"
	"github.com/codeontap/entrypoint/internal/kms/kmstest"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "loopback address and port; port 0 takes a free one")
	service := flag.Duration("service", 0, "time that each answer takes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *service, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kms-demo:", err)
		os.Exit(1)
	}
}

// The one key that it knows.
const (
	alias = "alias/demo"
	arn   = "arn:aws:kms:eu-west-1:000000000000:key/demo"
)

func run(ctx context.Context, address string, service time.Duration, out io.Writer) error {
	if !kms.IsLoopback(&url.URL{Host: address}) {
		return errors.New("-listen wants a loopback address: this server gives everybody the plaintext")
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	server := &http.Server{
		Handler:           &kmstest.Server{Keys: map[string]string{alias: arn, "demo": arn}, Service: service},
		ReadHeaderTimeout: 5 * time.Second,
	}
	// Credentials of nobody: what signs a request has to have some.
	_, err = fmt.Fprintf(out, "AWS_ENDPOINT_URL_KMS=http://%s\nAWS_REGION=eu-west-1\nAWS_ACCESS_KEY_ID=demo\nAWS_SECRET_ACCESS_KEY=demo\nENTRYPOINT_KMS_KEY_ID=%s\n",
		listener.Addr(), alias)
	if err != nil {
		return fmt.Errorf("cannot say how to use it: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("cannot serve: %w", err)
	case <-ctx.Done():
		return server.Close()
	}
}
