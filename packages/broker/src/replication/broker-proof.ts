import { createHmac, timingSafeEqual } from 'node:crypto'

/**
 * How a broker proves to another one, over a connection of Kafka's protocol, that it is a node of the cluster, and learns that the other is
 * (`docs/adr/0006-brokers-prove-themselves.md`): a SASL mechanism of our own, two SaslAuthenticate requests.
 *
 *     hello      client → server   version u8, broker u32, target broker u32, nonce 32, cluster id (rest, UTF-8)
 *     challenge  server → client   version u8, nonce 32
 *     proof      client → server   mac 32
 *     accept     server → client   mac 32
 *
 * A mac is HMAC-SHA-256 by the cluster's secret over the prover's role, hello and challenge. Each side's nonce makes the other's mac
 * worthless on another connection; the role, and a text that the controllers' handshake does not have, keep one from being used elsewhere.
 */
export const BROKER_PROOF_MECHANISM = 'MILLRACE-BROKER-HMAC-SHA-256'

const VERSION = 1
export const PROOF_NONCE_BYTES = 32
const MAC_BYTES = 32
const HELLO_FIXED_BYTES = 1 + 4 + 4 + PROOF_NONCE_BYTES
const MAX_CLUSTER_ID_BYTES = 255

export interface BrokerHello {
  readonly brokerId: number
  /** Whom the client believes to talk to: a proof for one broker is none for another. */
  readonly targetId: number
  readonly clusterId: string
}

export function encodeBrokerHello({ brokerId, targetId, clusterId }: BrokerHello, nonce: Buffer): Buffer {
  const fixed = Buffer.alloc(HELLO_FIXED_BYTES)
  fixed[0] = VERSION
  fixed.writeUInt32BE(brokerId, 1)
  fixed.writeUInt32BE(targetId, 5)
  nonce.copy(fixed, 9)
  return Buffer.concat([fixed, Buffer.from(clusterId, 'utf8')])
}

/** Null: no hello of this version. */
export function decodeBrokerHello(bytes: Buffer): BrokerHello | null {
  if (bytes.length < HELLO_FIXED_BYTES || bytes.length > HELLO_FIXED_BYTES + MAX_CLUSTER_ID_BYTES) return null
  if (bytes[0] !== VERSION) return null
  const brokerId = bytes.readUInt32BE(1)
  if (brokerId > 0x7fffffff) return null
  return { brokerId, targetId: bytes.readUInt32BE(5), clusterId: bytes.toString('utf8', HELLO_FIXED_BYTES) }
}

export function encodeBrokerChallenge(nonce: Buffer): Buffer {
  return Buffer.concat([Buffer.from([VERSION]), nonce])
}

export function isBrokerChallenge(bytes: Buffer): boolean {
  return bytes.length === 1 + PROOF_NONCE_BYTES && bytes[0] === VERSION
}

export type BrokerProofRole = 'client' | 'server'

export function brokerProof(role: BrokerProofRole, secret: Buffer, hello: Buffer, challenge: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(hello.length)
  return createHmac('sha256', secret)
    .update(`millrace broker v${VERSION} ${role}\0`)
    .update(length)
    .update(hello)
    .update(challenge)
    .digest()
}

export function isBrokerProof(
  bytes: Buffer,
  role: BrokerProofRole,
  secret: Buffer,
  hello: Buffer,
  challenge: Buffer,
): boolean {
  return bytes.length === MAC_BYTES && timingSafeEqual(bytes, brokerProof(role, secret, hello, challenge))
}
