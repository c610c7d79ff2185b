import { createHash, createHmac, pbkdf2, pbkdf2Sync } from 'node:crypto'
import { promisify } from 'node:util'

/** Mechanisms of RFC 5802 and 7677 that Kafka has (KIP-84). */
export type ScramMechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-512'

/** Numbers of the mechanisms in the admin API and in metadata records (KIP-554). */
export const ScramMechanismType = { UNKNOWN: 0, SCRAM_SHA_256: 1, SCRAM_SHA_512: 2 } as const

/** Iterations that Kafka takes: fewer are too cheap to try out, more too dear for a broker to be asked for. */
export const SCRAM_MIN_ITERATIONS = 4096
export const SCRAM_MAX_ITERATIONS = 16384

/** What a server stores of a password: enough to check it, not to use it elsewhere. */
export interface ScramCredential {
  readonly salt: Buffer
  readonly storedKey: Buffer
  readonly serverKey: Buffer
  readonly iterations: number
}

const pbkdf2Async = promisify(pbkdf2)

/** The mechanism of a name that a client sent, or null. */
export function scramMechanismOf(name: string): ScramMechanism | null {
  return name === 'SCRAM-SHA-256' || name === 'SCRAM-SHA-512' ? name : null
}

/** The mechanism of a number from the admin API or a metadata record, or null. */
export function scramMechanismOfType(type: number): ScramMechanism | null {
  if (type === ScramMechanismType.SCRAM_SHA_256) return 'SCRAM-SHA-256'
  return type === ScramMechanismType.SCRAM_SHA_512 ? 'SCRAM-SHA-512' : null
}

function digestOf(mechanism: ScramMechanism): 'sha256' | 'sha512' {
  return mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512'
}

/** Bytes of the mechanism's hash, and so of every key and proof. */
export function scramHashBytes(mechanism: ScramMechanism): number {
  return mechanism === 'SCRAM-SHA-256' ? 32 : 64
}

/**
 * Hi() of RFC 5802 over the password as UTF-8; like Kafka without normalisation (RFC 5802 asks for SASLprep). Takes milliseconds: for
 * tools and tests, see {@link saltPasswordAsync}.
 */
export function saltPassword(mechanism: ScramMechanism, password: string, salt: Buffer, iterations: number): Buffer {
  return pbkdf2Sync(password, salt, iterations, scramHashBytes(mechanism), digestOf(mechanism))
}

/** As {@link saltPassword}, on the thread pool. */
export function saltPasswordAsync(
  mechanism: ScramMechanism,
  password: string,
  salt: Buffer,
  iterations: number,
): Promise<Buffer> {
  return pbkdf2Async(password, salt, iterations, scramHashBytes(mechanism), digestOf(mechanism))
}

/** HMAC with the mechanism's hash. */
export function scramHmac(mechanism: ScramMechanism, key: Buffer, message: string): Buffer {
  return createHmac(digestOf(mechanism), key).update(message, 'utf8').digest()
}

/** ClientKey of RFC 5802, which only a client can compute. */
export function scramClientKey(mechanism: ScramMechanism, saltedPassword: Buffer): Buffer {
  return scramHmac(mechanism, saltedPassword, 'Client Key')
}

/** StoredKey of RFC 5802. */
export function scramStoredKey(mechanism: ScramMechanism, clientKey: Buffer): Buffer {
  return createHash(digestOf(mechanism)).update(clientKey).digest()
}

/** ServerKey of RFC 5802. */
export function scramServerKey(mechanism: ScramMechanism, saltedPassword: Buffer): Buffer {
  return scramHmac(mechanism, saltedPassword, 'Server Key')
}

/** What to store for a user, from the salted password that AlterUserScramCredentials carries. */
export function scramCredentialFrom(
  mechanism: ScramMechanism,
  saltedPassword: Buffer,
  salt: Buffer,
  iterations: number,
): ScramCredential {
  const storedKey = scramStoredKey(mechanism, scramClientKey(mechanism, saltedPassword))
  return { salt, storedKey, serverKey: scramServerKey(mechanism, saltedPassword), iterations }
}

/**
 * A credential that no password fits, always the same for a name, so that an exchange for a user who does not exist looks like any other
 * up to its end. `secret` is the server's own, at least 16 random bytes, and must last as long as a prober should be kept in the dark.
 */
export function decoyScramCredential(mechanism: ScramMechanism, username: string, secret: Buffer): ScramCredential {
  const salt = scramHmac(mechanism, secret, `salt ${username}`)
  const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz' // real salts are 130 random bits in this alphabet
  const text = Array.from(salt.subarray(0, 25), (byte) => alphabet[byte % alphabet.length]!).join('')
  return {
    salt: Buffer.from(text),
    storedKey: scramHmac(mechanism, secret, `stored key ${username}`),
    serverKey: scramHmac(mechanism, secret, `server key ${username}`),
    iterations: SCRAM_MIN_ITERATIONS,
  }
}

/** Kafka's text form of a credential. */
export function formatScramCredential({ salt, storedKey, serverKey, iterations }: ScramCredential): string {
  const [saltText, storedText, serverText] = [salt, storedKey, serverKey].map((bytes) => bytes.toString('base64'))
  return `salt=${saltText},stored_key=${storedText},server_key=${serverText},iterations=${iterations}`
}

/** The credential of a text form, its parts in any order; null if one is missing, unknown or malformed. */
export function parseScramCredential(text: string): ScramCredential | null {
  const parts = new Map<string, string>()
  for (const part of text.split(',')) {
    const equals = part.indexOf('=')
    if (equals <= 0) return null
    parts.set(part.slice(0, equals), part.slice(equals + 1))
  }
  const salt = parseBase64(parts.get('salt'))
  const storedKey = parseBase64(parts.get('stored_key'))
  const serverKey = parseBase64(parts.get('server_key'))
  const iterations = parts.get('iterations')
  if (parts.size !== 4 || salt === null || storedKey === null || serverKey === null) return null
  if (iterations === undefined || !/^[1-9][0-9]{0,8}$/.test(iterations)) return null
  return { salt, storedKey, serverKey, iterations: Number(iterations) }
}

/** Standard base64 with padding, as RFC 5802 wants it; Node's own decoder would skip what is not. */
export const BASE64_PATTERN = '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)?'

const BASE64 = new RegExp(`^${BASE64_PATTERN}$`)

function parseBase64(text: string | undefined): Buffer | null {
  return text !== undefined && BASE64.test(text) ? Buffer.from(text, 'base64') : null
}
