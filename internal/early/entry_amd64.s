#include "textflag.h"

// Entry notes which signals are ignored, one bit each in ·inherited, and goes on
// to Go's own entry point. See entry.go. rt_sigaction(signal, NULL, &old, 8).
TEXT ·Entry(SB), NOSPLIT|NOFRAME, $0
	MOVQ $1, R12

next:
	SUBQ $64, SP
	MOVQ R12, DI
	XORQ SI, SI
	MOVQ SP, DX
	MOVQ $8, R10
	MOVQ $13, AX
	SYSCALL
	MOVQ 0(SP), BX
	ADDQ $64, SP
	CMPQ AX, $0
	JNE  skip
	CMPQ BX, $1
	JNE  skip
	MOVQ R12, CX
	DECQ CX
	MOVQ $1, AX
	SHLQ CX, AX
	ORQ  AX, ·inherited(SB)

skip:
	INCQ R12
	CMPQ R12, $64
	JLE  next
	JMP  _rt0_amd64_linux(SB)
