import { ConfigurationError } from '@millrace/base'
import { brokerDefinitions } from './broker-definitions.ts'
import type { RawSettings } from './layers.ts'

/**
 * The settings with another port for the one listener that clients use, in `listeners` and wherever `advertised.listeners` names the
 * old port. Throws `ConfigurationError` if several listeners could be meant.
 */
export function withListenerPort(settings: RawSettings, port: number): RawSettings {
  const key = 'listeners'
  const text = settings.get(key) ?? brokerDefinitions.listeners.defaultText!
  const controllers = addressNames(settings.get('controller.listener.names') ?? '')
  const addresses = text.split(',').map((address) => address.trim())
  const clients = addresses.filter((address) => !controllers.has(nameOf(address)))
  const [client] = clients
  if (client === undefined || clients.length > 1) {
    throw new ConfigurationError(
      key,
      `A port alone can be given only with one listener for clients, but ${key} is ${text}`,
    )
  }
  const oldPort = /:(\d+)$/.exec(client)?.[1]
  const moved = (address: string) => address.replace(/:\d+$/, `:${port}`)
  const next = new Map(settings)
  next.set(key, addresses.map((address) => (address === client ? moved(address) : address)).join(','))
  const advertised = settings.get('advertised.listeners')
  if (advertised !== undefined) {
    const isSame = (address: string) => nameOf(address) === nameOf(client) && address.endsWith(`:${oldPort}`)
    const list = advertised.split(',').map((address) => address.trim())
    next.set('advertised.listeners', list.map((address) => (isSame(address) ? moved(address) : address)).join(','))
  }
  return next
}

function nameOf(address: string): string {
  return address.split(':')[0]!.toUpperCase()
}

function addressNames(text: string): ReadonlySet<string> {
  return new Set(text.split(',').map((name) => name.trim().toUpperCase()))
}
