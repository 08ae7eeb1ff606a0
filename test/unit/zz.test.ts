import { it } from '@jest/globals';
import helpers, { result } from 'yeoman-test';
import G from 'yeoman-generator';
class D extends (G as any) { constructor(a:any,o:any){super(a,o); console.log(Object.keys(o).join(' '), Object.keys((this as any).env.adapter).join(' '))} prompting(){} }
it('x', async () => { await helpers.create(D as never, {namespace:'d:app',resolved:'/tmp/x/index.js'} as never).withOptions({yes:true} as never).withArguments(['a']); });
