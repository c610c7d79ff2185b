import type { Uuid } from '@millrace/base'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeChallenge,
  decodeHello,
  encodeChallenge,
  encodeHello,
  encodeProof,
  HANDSHAKE_NONCE_BYTES,
  verifyProof,
} from './handshake.ts'
import { decodeFrame, encodeFrame } from './peer-frame.ts'
import { PeerChannel } from './peer-transport.ts'

const nodeIds = fc.integer({ min: 0, max: 0x7fffffff })
const bytesOf = (size: number) => fc.uint8Array({ minLength: size, maxLength: size }).map((bytes) => Buffer.from(bytes))
const nonces = bytesOf(HANDSHAKE_NONCE_BYTES)
const identities = fc.record({
  clusterId: fc.string({ maxLength: 60, unit: 'grapheme-ascii' }),
  nodeId: nodeIds,
  directoryId: bytesOf(16).map((bytes) => bytes.toString('base64url') as Uuid),
})
const processes = bytesOf(16).map((bytes) => bytes.toString('base64url') as Uuid)
const introductions = fc.record({ identity: identities, process: processes })
const anything = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes))

describe('Handshake messages and frames', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(introductions, nodeIds, nonces, anything, (peer, targetId, nonce, payload) => {
        expect(decodeHello(encodeHello(peer, targetId, nonce))).toEqual({ ...peer, targetId })
        const { identity, process } = peer
        expect(decodeChallenge(encodeChallenge(peer, nonce))).toEqual({ nodeId: identity.nodeId, process })
        for (const channel of Object.values(PeerChannel)) {
          expect(decodeFrame(encodeFrame(channel, payload))).toEqual({ channel, payload })
        }
      }),
    )
  })

  it('of any bytes whatever are read or refused, and what is read is written the same', () => {
    fc.assert(
      fc.property(anything, fc.integer({ min: 0, max: 5 }), (bytes, type) => {
        for (const candidate of [bytes, Buffer.concat([Buffer.from([2, type]), bytes])]) {
          const frame = decodeFrame(candidate)
          if (frame !== null) expect(encodeFrame(frame.channel, frame.payload)).toEqual(candidate)
          const hello = decodeHello(candidate)
          if (hello !== null) expect(hello.identity.nodeId).toBe(candidate.readUInt32BE(2))
          if (decodeChallenge(candidate) !== null) expect(candidate.length).toBe(70)
          expect(verifyProof(candidate, 'client', Buffer.from('secret'), bytes, bytes)).not.toBeNull()
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('prove the secret for this role and these two messages only', () => {
    const secret = Buffer.from('a secret of some length')
    fc.assert(
      fc.property(introductions, nodeIds, nonces, nonces, fc.nat(), (peer, targetId, nonce, other, at) => {
        const hello = encodeHello(peer, targetId, nonce)
        const challenge = encodeChallenge(peer, other)
        const proof = encodeProof('client', secret, hello, challenge)
        expect(verifyProof(proof, 'client', secret, hello, challenge)).toBeNull()
        expect(verifyProof(proof, 'server', secret, hello, challenge)).not.toBeNull()
        expect(verifyProof(proof, 'client', Buffer.from('another secret'), hello, challenge)).toBe('wrong secret')
        for (const bytes of [hello, challenge, proof]) {
          const changed = Buffer.from(bytes)
          changed[at % bytes.length]! ^= 1
          const [toldHello, toldChallenge, told] = [hello, challenge, proof].map((part) =>
            part === bytes ? changed : part,
          )
          expect(verifyProof(told!, 'client', secret, toldHello!, toldChallenge!)).not.toBeNull()
        }
      }),
    )
  })
})
