import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Uuid } from '@millrace/base'
import type { PeerIdentity } from './transport-options.ts'

/**
 * How two nodes make each other's acquaintance on a new connection, each message one binary WebSocket message:
 *
 *     hello      client → server   version u8, 1, node u32, target node u32, directory 16, nonce 32, cluster id (rest, UTF-8)
 *     challenge  server → client   version u8, 2, node u32, directory 16, nonce 32
 *     proof      client → server   version u8, 3, mac 32
 *     accept     server → client   version u8, 4, mac 32
 *
 * A mac is HMAC-SHA-256 by the shared secret over the prover's role, hello and challenge: the other side's fresh nonce makes it worthless
 * on another connection, the role keeps it from being sent back to its maker. The client proves itself first, so that who merely connects
 * gets nothing to guess the secret by. Without a secret the macs are zeros and nobody looks at them: certificates, if any, tell who is who.
 */
const VERSION = 1
const Type = { HELLO: 1, CHALLENGE: 2, PROOF: 3, ACCEPT: 4 } as const
const NONCE_BYTES = 32
const MAC_BYTES = 32
const HELLO_FIXED_BYTES = 2 + 4 + 4 + 16 + NONCE_BYTES
const CHALLENGE_BYTES = 2 + 4 + 16 + NONCE_BYTES
const MAX_CLUSTER_ID_BYTES = 255

/** Why a peer is turned away. Said in logs only: strangers are told nothing. */
export type HandshakeRefusal =
  | 'not a handshake of this version'
  | 'another cluster'
  | 'meant for another node'
  | 'wrong secret'
  | 'certificate of another node'
  | 'a node that has our own id'
  | 'too many connections'

export interface Hello {
  readonly identity: PeerIdentity
  readonly targetId: number
}

export function encodeHello(identity: PeerIdentity, targetId: number, nonce: Buffer): Buffer {
  const fixed = Buffer.alloc(HELLO_FIXED_BYTES)
  fixed[0] = VERSION
  fixed[1] = Type.HELLO
  fixed.writeUInt32BE(identity.nodeId, 2)
  fixed.writeUInt32BE(targetId, 6)
  fixed.write(identity.directoryId, 10, 'base64url')
  nonce.copy(fixed, 26)
  return Buffer.concat([fixed, Buffer.from(identity.clusterId, 'utf8')])
}

/** Null: no hello of this version. */
export function decodeHello(bytes: Buffer): Hello | null {
  if (bytes.length < HELLO_FIXED_BYTES || bytes.length > HELLO_FIXED_BYTES + MAX_CLUSTER_ID_BYTES) return null
  if (bytes[0] !== VERSION || bytes[1] !== Type.HELLO) return null
  const identity: PeerIdentity = {
    nodeId: bytes.readUInt32BE(2),
    directoryId: Buffer.from(bytes.subarray(10, 26)).toString('base64url') as Uuid,
    clusterId: bytes.toString('utf8', HELLO_FIXED_BYTES),
  }
  return identity.nodeId > 0x7fffffff ? null : { identity, targetId: bytes.readUInt32BE(6) }
}

export function encodeChallenge(identity: PeerIdentity, nonce: Buffer): Buffer {
  const bytes = Buffer.alloc(CHALLENGE_BYTES)
  bytes[0] = VERSION
  bytes[1] = Type.CHALLENGE
  bytes.writeUInt32BE(identity.nodeId, 2)
  bytes.write(identity.directoryId, 6, 'base64url')
  nonce.copy(bytes, 22)
  return bytes
}

/** Id of the node that answers; null: no challenge of this version. */
export function decodeChallenge(bytes: Buffer): number | null {
  if (bytes.length !== CHALLENGE_BYTES || bytes[0] !== VERSION || bytes[1] !== Type.CHALLENGE) return null
  return bytes.readUInt32BE(2)
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
