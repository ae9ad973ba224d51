package kmstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server is KMS as an http.Handler. The zero value knows no key.
type Server struct {
	Keys    map[string]string // key id or alias, as callers name it, to ARN
	Service time.Duration     // time that each answer takes
	Ahead   time.Duration     // of this machine's clock; not 0: signatures of another time are refused

	mutex  sync.Mutex
	calls  []Call
	script map[string][]Answer // by ciphertext; "" is for all others
	nonce  atomic.Uint64
}

// Call is one request that arrived.
type Call struct {
	Operation  string // Decrypt or Encrypt
	KeyID      string
	Context    map[string]string
	Ciphertext []byte
	Plaintext  []byte
	Region     string // of the signature
	AccessKey  string // of the signature
}

// Answer is one scripted answer.
type Answer func(s *Server, w http.ResponseWriter, r *http.Request, call Call)

// Script says what requests about a ciphertext get, one after the other, the
// last answer for all further ones. An empty ciphertext stands for every
// request that no other script is for.
func (s *Server) Script(ciphertext []byte, answers ...Answer) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.script == nil {
		s.script = map[string][]Answer{}
	}
	s.script[string(ciphertext)] = answers
}

// Calls returns what has arrived so far.
func (s *Server) Calls() []Call {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.calls)
}

// next records the call and takes its answer off the script.
func (s *Server) next(call Call) Answer {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.calls = append(s.calls, call)
	name := string(call.Ciphertext)
	answers, ok := s.script[name]
	if !ok {
		name = ""
		answers = s.script[name]
	}
	if len(answers) == 0 {
		return Normal
	}
	if len(answers) > 1 {
		s.script[name] = answers[1:]
	}
	return answers[0]
}

// message has the fields of both operations' requests and answers.
type message struct {
	KeyID               string            `json:"KeyId,omitempty"`
	CiphertextBlob      []byte            `json:",omitempty"`
	Plaintext           []byte            `json:",omitempty"`
	EncryptionContext   map[string]string `json:",omitempty"`
	EncryptionAlgorithm string            `json:",omitempty"`
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	if !ok || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		refuse(w, http.StatusBadRequest, "UnknownOperationException", "")
		return
	}
	var m message
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || json.Unmarshal(body, &m) != nil {
		refuse(w, http.StatusBadRequest, "SerializationException", "")
		return
	}
	call := Call{Operation: operation, KeyID: m.KeyID, Context: m.EncryptionContext, Ciphertext: m.CiphertextBlob, Plaintext: m.Plaintext}
	// AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/kms/aws4_request, ...
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope := strings.Split(credential, "/")
	if len(scope) < 5 || scope[3] != "kms" {
		refuse(w, http.StatusBadRequest, "MissingAuthenticationTokenException", "")
		return
	}
	call.AccessKey, call.Region = scope[0], scope[2]
	if s.Ahead != 0 {
		now := time.Now().Add(s.Ahead)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || now.Sub(signed).Abs() > 5*time.Minute {
			refuse(w, http.StatusBadRequest, "InvalidSignatureException", "Signature expired")
			return
		}
	}

	answer := s.next(call)
	if s.Service > 0 {
		select {
		case <-time.After(s.Service):
		case <-r.Context().Done():
			return
		}
	}
	answer(s, w, r, call)
}

// Normal is what KMS answers.
func Normal(s *Server, w http.ResponseWriter, _ *http.Request, call Call) {
	switch call.Operation {
	case "Decrypt":
		s.decrypt(w, call)
	case "Encrypt":
		s.encrypt(w, call)
	default:
		refuse(w, http.StatusBadRequest, "UnknownOperationException", "")
	}
}

func (s *Server) decrypt(w http.ResponseWriter, call Call) {
	layout, fingerprint, plaintext, nonce, ok := open(call.Ciphertext)
	if !ok {
		refuse(w, http.StatusBadRequest, "InvalidCiphertextException", "")
		return
	}
	arn := ""
	for _, a := range s.Keys {
		if Fingerprint(a) == fingerprint {
			arn = a
		}
	}
	switch {
	case arn == "":
		refuse(w, http.StatusBadRequest, "AccessDeniedException",
			"The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.")
	case call.KeyID != "" && s.arn(call.KeyID) == "":
		refuse(w, http.StatusBadRequest, "NotFoundException", "")
	case call.KeyID != "" && s.arn(call.KeyID) != arn:
		refuse(w, http.StatusBadRequest, "IncorrectKeyException", "")
	case !bytes.Equal(call.Ciphertext, BlobWith(layout, arn, plaintext, nonce, call.Context)):
		refuse(w, http.StatusBadRequest, "InvalidCiphertextException", "")
	default:
		send(w, http.StatusOK, message{KeyID: arn, Plaintext: []byte(plaintext), EncryptionAlgorithm: "SYMMETRIC_DEFAULT"})
	}
}

func (s *Server) encrypt(w http.ResponseWriter, call Call) {
	arn := s.arn(call.KeyID)
	switch {
	case arn == "":
		refuse(w, http.StatusBadRequest, "NotFoundException", "")
	case len(call.Plaintext) == 0 || len(call.Plaintext) > 4096:
		refuse(w, http.StatusBadRequest, "ValidationException", "")
	default:
		// Unique across restarts, so that nobody mistakes it for deterministic.
		nonce := uint64(time.Now().UnixNano())<<8 | s.nonce.Add(1)&0xFF
		blob := BlobWith(Current, arn, string(call.Plaintext), nonce, call.Context)
		send(w, http.StatusOK, message{KeyID: arn, CiphertextBlob: blob, EncryptionAlgorithm: "SYMMETRIC_DEFAULT"})
	}
}

// arn resolves a key id, an alias or an ARN; empty if there is no such key.
func (s *Server) arn(id string) string {
	if arn, ok := s.Keys[id]; ok {
		return arn
	}
	for _, arn := range s.Keys {
		if arn == id {
			return arn
		}
	}
	return ""
}

func send(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // all that is sent can be encoded
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", "7a4c0fb2-0000-4000-8000-kmstest00001")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away is its own affair
}

func refuse(w http.ResponseWriter, status int, code, text string) {
	send(w, status, map[string]string{"__type": code, "message": text})
}

// Refuse answers with an error; text is what KMS would explain, and emulators
// echo.
func Refuse(status int, code, text string) Answer {
	return func(_ *Server, w http.ResponseWriter, _ *http.Request, _ Call) { refuse(w, status, code, text) }
}

// Plaintext answers with this, whatever the ciphertext.
func Plaintext(key, text string) Answer {
	return func(_ *Server, w http.ResponseWriter, _ *http.Request, _ Call) {
		send(w, http.StatusOK, message{KeyID: key, Plaintext: []byte(text), EncryptionAlgorithm: "SYMMETRIC_DEFAULT"})
	}
}

// Skewed refuses the signature as KMS does when the caller's clock is off by
// so much.
func Skewed(by time.Duration) Answer {
	return func(_ *Server, w http.ResponseWriter, _ *http.Request, _ Call) {
		w.Header().Set("Date", time.Now().Add(by).UTC().Format(http.TimeFormat))
		refuse(w, http.StatusBadRequest, "InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z")
	}
}

// HTML answers as a proxy or a captive portal does.
func HTML(status int, text string) Answer {
	return func(_ *Server, w http.ResponseWriter, _ *http.Request, _ Call) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<!DOCTYPE html><html><body>%s</body></html>", text)
	}
}

// Hang sends the header and nothing more, until the client goes.
func Hang(_ *Server, w http.ResponseWriter, r *http.Request, _ Call) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("Content-Length", "100")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // the client sees it, or has gone
	<-r.Context().Done()
}

// CutOff closes the connection in the middle of the body.
func CutOff(_ *Server, w http.ResponseWriter, _ *http.Request, _ Call) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, `{"KeyId":"arn:aws:kms:`)
	panic(http.ErrAbortHandler)
}

// Huge answers with a plaintext of so many bytes.
func Huge(n int) Answer {
	return func(_ *Server, w http.ResponseWriter, _ *http.Request, _ Call) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, `{"KeyId":"arn:aws:kms:","Plaintext":"`)
		block := []byte(strings.Repeat("QUFB", 1024))
		for left := n; left > 0; left -= 3 * 1024 { // n is every answer's
			if _, err := w.Write(block); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, `"}`)
	}
}
