#include "textflag.h"

// Offsets within a call, see arena_linux.go.
#define ARG(n)	(8*(n)+8)(R19)
#define EARLIER	56(R19)
#define MODE	64(R19)
#define WANT	72(R19)
#define COPY	80(R19)
#define RESULT	88(R19)
#define SIZE	96

// LOAD puts argument n into a register, through its address if it is an earlier result.
#define LOAD(n, reg) \
	MOVD	ARG(n), reg; \
	TBZ	$n, R21, 2(PC); \
	MOVD	(reg), reg

// func clone(flags, stack, ops, status uintptr) (pid, errno uintptr)
//
// The child has no Go stack and no g. It keeps R19, the call, and R20, the status, in
// registers, which system calls preserve.
TEXT ·clone(SB),NOSPLIT|NOFRAME,$0-48
	MOVD	flags+0(FP), R0
	MOVD	stack+8(FP), R1
	MOVD	ops+16(FP), R19
	MOVD	status+24(FP), R20
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$220, R8 // clone
	SVC
	CBZ	R0, step
	CMN	$4095, R0
	BCS	failed
	MOVD	R0, pid+32(FP)
	MOVD	ZR, errno+40(FP)
	RET
failed:
	NEG	R0, R0
	MOVD	ZR, pid+32(FP)
	MOVD	R0, errno+40(FP)
	RET

step:
	MOVD	EARLIER, R21
	LOAD(0, R0)
	LOAD(1, R1)
	LOAD(2, R2)
	LOAD(3, R3)
	LOAD(4, R4)
	LOAD(5, R5)
	MOVD	(R19), R8
	SVC
	MOVD	R0, RESULT
	MOVD	COPY, R21
	CBZ	R21, judge
	MOVW	R0, (R21)
judge:
	MOVD	MODE, R21
	CMP	$1, R21
	BEQ	next
	BHI	equals
	CMN	$4095, R0
	BCC	next
	B	stop
equals:
	MOVD	WANT, R21
	CMP	R21, R0
	BNE	stop
next:
	ADD	$SIZE, R19, R19
	B	step

stop:
	MOVD	R0, 8(R20)
	MOVD	R19, 0(R20)
	MOVD	$126, R0
	MOVD	$94, R8 // exit_group
	SVC
	B	stop
