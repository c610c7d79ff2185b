import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Uuid } from '@millrace/base'
import type { PeerIdentity } from './transport-options.ts'

/**
 * How two nodes make each other's acquaintance on a new connection, each message one binary WebSocket message:
 *
 *     hello      client → server   version u8, 1, node u32, target node u32, directory 16, process 16, nonce 32, cluster id (rest, UTF-8)
 *     challenge  server → client   version u8, 2, node u32, directory 16, process 16, nonce 32
 *     proof      client → server   version u8, 3, mac 32
 *     accept     server → client   version u8, 4, mac 32
 *
 * A mac is HMAC-SHA-256 by the shared secret over the prover's role, hello and challenge: the other side's fresh nonce makes it worthless
 * on another connection, the role keeps it from being sent back to its maker. The client proves itself first, so that who merely connects
 * gets nothing to guess the secret by. `process` is drawn at random by each process at its start: two that were given one node id are told
 * apart by it. A client that has proved itself and still may not stay is told why, as the reason of the WebSocket's close. Without a secret the macs are zeros and nobody looks at them: certificates, if any, tell who is who.
 */
const VERSION = 2
const Type = { HELLO: 1, CHALLENGE: 2, PROOF: 3, ACCEPT: 4 } as const
const NONCE_BYTES = 32
const MAC_BYTES = 32
const HELLO_FIXED_BYTES = 2 + 4 + 4 + 16 + 16 + NONCE_BYTES
const CHALLENGE_BYTES = 2 + 4 + 16 + 16 + NONCE_BYTES
const MAX_CLUSTER_ID_BYTES = 255

/** Why a peer is turned away. Said in logs, and to who has proved that it knows the secret: strangers are told nothing. */
export type HandshakeRefusal =
  | 'not a handshake of this version'
  | 'another cluster'
  | 'meant for another node'
  | 'wrong secret'
  | 'certificate of another node'
  | 'a node that has our own id'
  | 'another process with this node id is alive'
  | 'too many connections'

/** Code of the WebSocket's close by which a known peer is turned away (RFC 6455, 7.4.2: private use). */
export const TURNED_AWAY = 4000

/** Who a process says it is; `process` is drawn at each start. */
export interface PeerIntroduction {
  readonly identity: PeerIdentity
  readonly process: Uuid
}

export interface Hello extends PeerIntroduction {
  readonly targetId: number
}

/** What a server says of itself; its cluster is the client's, or the proofs do not fit. */
export interface Challenge {
  readonly nodeId: number
  readonly process: Uuid
}

export function encodeHello({ identity, process }: PeerIntroduction, targetId: number, nonce: Buffer): Buffer {
  const fixed = Buffer.alloc(HELLO_FIXED_BYTES)
  fixed[0] = VERSION
  fixed[1] = Type.HELLO
  fixed.writeUInt32BE(identity.nodeId, 2)
  fixed.writeUInt32BE(targetId, 6)
  fixed.write(identity.directoryId, 10, 'base64url')
  fixed.write(process, 26, 'base64url')
  nonce.copy(fixed, 42)
  return Buffer.concat([fixed, Buffer.from(identity.clusterId, 'utf8')])
}

/** Null: no hello of this version. */
export function decodeHello(bytes: Buffer): Hello | null {
  if (bytes.length < HELLO_FIXED_BYTES || bytes.length > HELLO_FIXED_BYTES + MAX_CLUSTER_ID_BYTES) return null
  if (bytes[0] !== VERSION || bytes[1] !== Type.HELLO) return null
  const identity: PeerIdentity = {
    nodeId: bytes.readUInt32BE(2),
    directoryId: uuidAt(bytes, 10),
    clusterId: bytes.toString('utf8', HELLO_FIXED_BYTES),
  }
  if (identity.nodeId > 0x7fffffff) return null
  return { identity, process: uuidAt(bytes, 26), targetId: bytes.readUInt32BE(6) }
}

export function encodeChallenge({ identity, process }: PeerIntroduction, nonce: Buffer): Buffer {
  const bytes = Buffer.alloc(CHALLENGE_BYTES)
  bytes[0] = VERSION
  bytes[1] = Type.CHALLENGE
  bytes.writeUInt32BE(identity.nodeId, 2)
  bytes.write(identity.directoryId, 6, 'base64url')
  bytes.write(process, 22, 'base64url')
  nonce.copy(bytes, 38)
  return bytes
}

/** Null: no challenge of this version. */
export function decodeChallenge(bytes: Buffer): Challenge | null {
  if (bytes.length !== CHALLENGE_BYTES || bytes[0] !== VERSION || bytes[1] !== Type.CHALLENGE) return null
  return { nodeId: bytes.readUInt32BE(2), process: uuidAt(bytes, 22) }
}

function uuidAt(bytes: Buffer, offset: number): Uuid {
  return bytes.toString('base64url', offset, offset + 16) as Uuid
}

export type ProofRole = 'client' | 'server'

export function encodeProof(role: ProofRole, secret: Buffer | null, hello: Buffer, challenge: Buffer): Buffer {
  return Buffer.concat([Buffer.from([VERSION, typeOf(role)]), macOf(role, secret, hello, challenge)])
}

export function verifyProof(
  bytes: Buffer,
  role: ProofRole,
  secret: Buffer | null,
  hello: Buffer,
  challenge: Buffer,
): HandshakeRefusal | null {
  if (bytes.length !== 2 + MAC_BYTES || bytes[0] !== VERSION || bytes[1] !== typeOf(role)) {
    return 'not a handshake of this version'
  }
  if (secret === null) return null
  return timingSafeEqual(bytes.subarray(2), macOf(role, secret, hello, challenge)) ? null : 'wrong secret'
}

function typeOf(role: ProofRole): number {
  return role === 'client' ? Type.PROOF : Type.ACCEPT
}

function macOf(role: ProofRole, secret: Buffer | null, hello: Buffer, challenge: Buffer): Buffer {
  if (secret === null) return Buffer.alloc(MAC_BYTES)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(hello.length)
  return createHmac('sha256', secret)
    .update(`millrace peer v${VERSION} ${role}\0`)
    .update(length)
    .update(hello)
    .update(challenge)
    .digest()
}

export const HANDSHAKE_NONCE_BYTES = NONCE_BYTES
