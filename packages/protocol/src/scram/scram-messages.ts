import { BASE64_PATTERN } from './scram-credential.ts'
import { ScramError } from './scram-error.ts'

/**
 * The four messages of RFC 5802 as Kafka's own parser takes them: no channel binding, extensions of the form `,name=value` at the end,
 * ASCII only. Parsers throw {@link ScramError} `SCRAM_MALFORMED`.
 */
export interface ClientFirst {
  /** `n,` and perhaps an authorization id, and a comma: what the client's final message repeats. */
  readonly gs2Header: string
  readonly authorizationId: string
  readonly username: string
  readonly nonce: string
  /** Kafka knows one, `tokenauth=true`: the name is the id of a delegation token. Others are ignored. */
  readonly extensions: ReadonlyMap<string, string>
  /** All after the header: part of what both sides sign. */
  readonly bare: string
}

export interface ServerFirst {
  readonly nonce: string
  readonly salt: Buffer
  readonly iterations: number
  readonly text: string
}

export interface ClientFinal {
  readonly channelBinding: string
  readonly nonce: string
  readonly proof: Buffer
  /** All before the proof: part of what both sides sign. */
  readonly withoutProof: string
}

export interface ServerFinal {
  /** null unless the server reports an error. */
  readonly error: string | null
  readonly signature: Buffer
}

/** Longer messages are refused unread: real ones have some hundred bytes. */
const MAX_MESSAGE_BYTES = 16 * 1024

// After the check of `textOf` that every character is ASCII and none is NUL.
const NAME = '(?:[^=,]|=2C|=3D)+'
const VALUE = '[^,]+'
const NONCE = '[!-+\\--~]+'
const RESERVED = `(?:m=${VALUE},)?`
const EXTENSIONS = `(?:,[A-Za-z]+=${VALUE})*`

const CLIENT_FIRST = new RegExp(
  `^(?<gs2>n,(?:a=(?<authzid>${NAME}))?,)(?<bare>${RESERVED}n=(?<name>${NAME}),r=(?<nonce>${NONCE})(?<extensions>${EXTENSIONS}))$`,
)
const SERVER_FIRST = new RegExp(
  `^${RESERVED}r=(?<nonce>${NONCE}),s=(?<salt>${BASE64_PATTERN}),i=(?<iterations>[0-9]+)${EXTENSIONS}$`,
)
const CLIENT_FINAL = new RegExp(
  `^(?<withoutProof>c=(?<channel>${BASE64_PATTERN}),r=(?<nonce>${NONCE})${EXTENSIONS}),p=(?<proof>${BASE64_PATTERN})$`,
)
const SERVER_FINAL = new RegExp(`^(?:e=(?<error>[^=,]+)|v=(?<signature>${BASE64_PATTERN})${EXTENSIONS})$`)

export function parseClientFirst(message: Buffer): ClientFirst {
  const groups = match(CLIENT_FIRST, message, 'client first')
  const extensions = new Map<string, string>()
  for (const part of groups.extensions!.split(',').slice(1)) {
    const equals = part.indexOf('=')
    extensions.set(part.slice(0, equals), part.slice(equals + 1))
  }
  return {
    gs2Header: groups.gs2!,
    authorizationId: decodeName(groups.authzid ?? ''),
    username: decodeName(groups.name!),
    nonce: groups.nonce!,
    extensions,
    bare: groups.bare!,
  }
}

/** `nonce` must be printable ASCII without commas. */
export function formatClientFirst(
  username: string,
  nonce: string,
  extensions: ReadonlyMap<string, string> = new Map(),
): { message: string; bare: string } {
  let bare = `n=${encodeName(username)},r=${nonce}`
  for (const [name, value] of extensions) bare += `,${name}=${value}`
  return { message: `n,,${bare}`, bare }
}

export function parseServerFirst(message: Buffer): ServerFirst {
  const groups = match(SERVER_FIRST, message, 'server first')
  const iterations = Number(groups.iterations)
  if (iterations < 1 || iterations > 0x7fffffff) throw malformed('server first')
  return {
    nonce: groups.nonce!,
    salt: Buffer.from(groups.salt!, 'base64'),
    iterations,
    text: message.toString('latin1'),
  }
}

export function formatServerFirst(clientNonce: string, serverNonce: string, salt: Buffer, iterations: number): string {
  return `r=${clientNonce}${serverNonce},s=${salt.toString('base64')},i=${iterations}`
}

export function parseClientFinal(message: Buffer): ClientFinal {
  const groups = match(CLIENT_FINAL, message, 'client final')
  return {
    channelBinding: Buffer.from(groups.channel!, 'base64').toString('latin1'),
    nonce: groups.nonce!,
    proof: Buffer.from(groups.proof!, 'base64'),
    withoutProof: groups.withoutProof!,
  }
}

/** The final message of a client that binds no channel, without its proof. */
export function formatClientFinalWithoutProof(nonce: string): string {
  return `c=${Buffer.from('n,,').toString('base64')},r=${nonce}`
}

export function parseServerFinal(message: Buffer): ServerFinal {
  const groups = match(SERVER_FINAL, message, 'server final')
  return { error: groups.error ?? null, signature: Buffer.from(groups.signature ?? '', 'base64') }
}

export function formatServerFinal(signature: Buffer): string {
  return `v=${signature.toString('base64')}`
}

/** What both sides sign: the whole exchange but for the signatures. */
export function scramAuthMessage(
  clientFirstBare: string,
  serverFirst: string,
  clientFinalWithoutProof: string,
): string {
  return `${clientFirstBare},${serverFirst},${clientFinalWithoutProof}`
}

function match(pattern: RegExp, message: Buffer, what: string): Record<string, string | undefined> {
  const groups = pattern.exec(textOf(message, what))?.groups
  if (groups === undefined) throw malformed(what)
  return groups
}

function textOf(message: Buffer, what: string): string {
  if (message.length > MAX_MESSAGE_BYTES) throw malformed(what)
  for (const byte of message) {
    if (byte === 0 || byte > 0x7f) throw malformed(what)
  }
  return message.toString('latin1')
}

function encodeName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C')
}

function decodeName(name: string): string {
  return name.replaceAll(/=2C|=3D/g, (code) => (code === '=2C' ? ',' : '='))
}

function malformed(what: string): ScramError {
  return new ScramError('SCRAM_MALFORMED', `Malformed SCRAM ${what} message`)
}
