import type { DataFamilySchema } from './schema.ts'

/** A principal as it travels in Envelope requests and delegation tokens. */
export const principal: DataFamilySchema = {
  name: 'principal',
  messages: [
    {
      name: 'DefaultPrincipalData',
      kind: 'data',
      versions: '0',
      flexible: '0+',
      fields: [
        { name: 'type', type: 'string' },
        { name: 'name', type: 'string' },
        { name: 'tokenAuthenticated', type: 'bool' },
      ],
    },
  ],
}
