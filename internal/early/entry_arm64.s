#include "textflag.h"

// Entry notes which signals are ignored, one bit each in ·inherited, and goes on
// to Go's own entry point. See entry.go. rt_sigaction(signal, NULL, &old, 8).
TEXT ·Entry(SB), NOSPLIT|NOFRAME, $0
	MOVD $1, R19

next:
	SUB  $64, RSP
	MOVD R19, R0
	MOVD $0, R1
	MOVD RSP, R2
	MOVD $8, R3
	MOVD $134, R8
	SVC
	MOVD (RSP), R4
	ADD  $64, RSP
	CBNZ R0, skip
	CMP  $1, R4
	BNE  skip
	SUB  $1, R19, R5
	MOVD $1, R6
	LSL  R5, R6, R6
	MOVD ·inherited(SB), R7
	ORR  R6, R7, R7
	MOVD R7, ·inherited(SB)

skip:
	ADD $1, R19
	CMP $64, R19
	BLE next
	JMP _rt0_arm64_linux(SB)
