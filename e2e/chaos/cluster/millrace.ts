import { places, requirePlace } from '../../harness/places.ts'
import { type NodePlan, type System, settingsOf } from './system.ts'

/** The built Millrace. */
export const millrace: System = {
  name: 'millrace',
  isNode: true,
  prepare: () => Promise.resolve(),
  command: (plan) => {
    const settings = { ...settingsOf(plan), ...clusterSettings(plan) }
    const args = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`])
    return [process.execPath, [requirePlace(places.millrace), 'start', ...args]]
  },
  badLines: [/assert/i, /unhandled/i, /uncaught/i, /"level":60/, /TypeError|RangeError|ReferenceError/],
}

function clusterSettings({ controllerProxyPorts }: NodePlan): Readonly<Record<string, string>> {
  if (controllerProxyPorts.size === 1) return {}
  return { 'cluster.id': 'q1Sh-9_ISia_zwGINzRvyQ', 'controller.peer.secret': 'secret of the chaos tests' }
}
