#!/usr/bin/env python3
# An independent, slow walker over WAL segments (14 to 18): every CRC, prev-link and length is checked, one line a record. Shares nothing with the Java decoder: the
# second opinion for PostgreSQL 14, whose pg_waldump and pg_walinspect are not at hand. Usage: walcheck.py SEGMENT...
import sys,os,struct,glob
T=[]
for i in range(256):
    c=i
    for _ in range(8): c=(c>>1)^(0x82F63B78 if c&1 else 0)
    T.append(c)
def crc(data,c=0xFFFFFFFF):
    for b in data: c=T[(c^b)&255]^(c>>8)
    return c
VER={0xD10D:14,0xD110:15,0xD113:16,0xD116:17,0xD118:18}
RM="XLOG XACT SMGR CLOG DBASE TBLSPC MULTIXACT RELMAP STANDBY HEAP2 HEAP BTREE HASH GIN GIST SEQ SPGIST BRIN COMMIT_TS REPLORIGIN GENERIC LOGICALMSG".split()
def al(n,a=8): return (n+a-1)&~(a-1)
def lsn(x): return "%X/%X"%(x>>32,x&0xffffffff)
class R: pass
def reader(files):
    segs={}
    for f in files:
        n=os.path.basename(f); segs[(int(n[8:16],16),int(n[16:24],16))]=f
    keys=sorted(segs); buf=open(segs[keys[0]],'rb').read()
    segsz=struct.unpack_from('<I',buf,32)[0]
    data={}
    for (hi,lo) in keys: data[(hi*(0x100000000//segsz)+lo)]=open(segs[(hi,lo)],'rb').read()
    first=min(data); last=max(data)
    magic,info,tli,addr,rem=struct.unpack_from('<HHIQI',data[first],0)
    assert info&2, 'long header'
    sysid,ss,bs=struct.unpack_from('<QII',data[first],24)
    yield ('hdr',hex(magic),VER.get(magic),sysid,ss,bs)
    ver=VER[magic]
    def page(p):
        s=p//segsz
        if s not in data: return None
        o=p%segsz; pg=data[s][o:o+8192]
        if len(pg)<8192: return None
        m,i,t,a,r=struct.unpack_from('<HHIQI',pg,0)
        if m!=magic or a!=p: return None
        return pg,i,t,r,(40 if i&2 else 24)
    pos=first*segsz; prev=None
    # skip continuation
    while True:
        p=page(pos-pos%8192)
        if p is None: return
        pg,i,t,r,h=p
        if pos%8192==0:
            if i&1:
                if r>8192-h: pos+=8192; continue
                pos+=h+al(r)
                if pos%8192==0: continue
                break
            pos+=h
        break
    while True:
        b=pos-pos%8192
        p=page(b)
        if p is None: return
        pg,i,t,r,h=p
        if pos==b: pos+=h
        start=pos
        tot=struct.unpack_from('<I',pg,pos%8192)[0]
        if tot<24: yield('end',lsn(pos),tot); return
        rec=pg[pos%8192:min(8192,pos%8192+tot)]; cur=b; npages=1
        ok=True
        while len(rec)<tot:
            cur+=8192; p=page(cur)
            if p is None: yield('end',lsn(pos),'nextpage'); return
            pg2,i2,t2,r2,h2=p
            if i2&8: yield('overwrite',lsn(cur)); pos=cur; ok=False; break
            assert i2&1 and r2==tot-len(rec),(lsn(pos),r2,tot,len(rec))
            rec+=pg2[h2:h2+min(r2,8192-h2)]; npages+=1
        if not ok: prev=None; continue
        c=crc(rec[:20],crc(rec[24:]))^0xFFFFFFFF
        tl,xid,pv,inf,rm,_,want=struct.unpack_from('<IIQBBHI',rec,0)
        assert c==want,(lsn(start),'crc')
        assert prev is None or pv==prev,(lsn(start),'prev')
        if npages==1: nxt=start+al(tot)
        else: nxt=cur+h2+al(r2)
        if rm==0 and inf&0xF0==0x40:
            nxt=(nxt+segsz-1)//segsz*segsz
        x=R(); x.lsn=start;x.end=nxt;x.xid=xid;x.info=inf;x.rm=rm;x.len=tot;x.ver=ver;x.blocks={};x.origin=None;x.top=None;x.main=b''
        o=24; dt=0; rel=None; ml=0
        while tot-o>dt:
            bid=rec[o]; o+=1
            if bid==255: ml=rec[o]; o+=1; dt+=ml; break
            if bid==254: ml=struct.unpack_from('<I',rec,o)[0]; o+=4; dt+=ml; break
            if bid==253: x.origin=struct.unpack_from('<H',rec,o)[0]; o+=2; continue
            if bid==252: x.top=struct.unpack_from('<I',rec,o)[0]; o+=4; continue
            assert bid<=32,bid
            ff=rec[o]; dl=struct.unpack_from('<H',rec,o+1)[0]; o+=3
            bl=R(); bl.fork=ff&15; bl.flags=ff; bl.dlen=dl; bl.img=None; dt+=dl; bl.ilen=0
            assert (dl>0)==bool(ff&0x20)
            if ff&0x10:
                il,ho,bi=struct.unpack_from('<HHB',rec,o); o+=5
                if ver==14: comp=bi&2; app=bi&4; meth='pglz' if comp else None
                else: comp=bi&0x1c; app=bi&2; meth={0:None,4:'pglz',8:'lz4',16:'zstd'}[comp]
                if comp:
                    if bi&1: hl=struct.unpack_from('<H',rec,o)[0]; o+=2
                    else: hl=0
                else: hl=8192-il
                bl.img=(il,ho,hl,meth,bool(app)); bl.ilen=il; dt+=il
            if not ff&0x80:
                rel=struct.unpack_from('<III',rec,o); o+=12
            bl.rel=rel; bl.blk=struct.unpack_from('<I',rec,o)[0]; o+=4
            x.blocks[bid]=bl
        assert tot-o==dt,(lsn(start),tot,o,dt,RM[rm],hex(inf))
        for bid in sorted(x.blocks):
            bl=x.blocks[bid]; bl.image=rec[o:o+bl.ilen]; o+=bl.ilen; bl.data=rec[o:o+bl.dlen]; o+=bl.dlen
        x.main=rec[o:o+ml]; assert o+ml==tot
        yield x
        prev=start; pos=nxt
def desc(x):
    m=x.main;op=x.info&0x70; s=''
    if x.rm==10:
        n=['INSERT','DELETE','UPDATE','TRUNCATE','HOT_UPDATE','CONFIRM','LOCK','INPLACE'][op>>4]+('+INIT' if x.info&0x80 else '')
        if op==0: s='off %d flags %02x'%struct.unpack_from('<HB',m)+' mainlen %d'%len(m)
        elif op==0x10: s='xmax %d off %d infobits %02x flags %02x'%struct.unpack_from('<IHBB',m)+' mainlen %d'%len(m)
        elif op in(0x20,0x40): s='oxmax %d ooff %d oinfo %02x flags %02x nxmax %d noff %d'%struct.unpack_from('<IHBBIH',m)+' mainlen %d'%len(m)
        elif op==0x60: s='xmax %d off %d info %02x flags %02x'%struct.unpack_from('<IHBB',m)
        elif op==0x70: s='len %d '%len(m)+m.hex()[:80]
        elif op==0x30:
            db,nr,fl=struct.unpack_from('<IIB',m); s='db %d n %d flags %02x relids %s len %d'%(db,nr,fl,struct.unpack_from('<%dI'%nr,m,12),len(m))
        return 'HEAP/'+n+' '+s
    if x.rm==9:
        n=['REWRITE','10','20','30','VISIBLE','MULTI_INSERT','LOCK_UPDATED','NEW_CID'][op>>4]+('+INIT' if x.info&0x80 else '')
        if op==0x50:
            fl,nt=struct.unpack_from('<BxH',m); s='flags %02x n %d mainlen %d'%(fl,nt,len(m))
            offs=None if x.info&0x80 else struct.unpack_from('<%dH'%nt,m,4)
            d=x.blocks[0].data
            if d:
                o=0
                for k in range(nt):
                    o=al(o,2); dl,i2,i1,hf=struct.unpack_from('<HHHB',d,o); o+=7+dl
                s+=' datalen %d parsed %d'%(len(d),o); assert o==len(d)
        elif op in (0x10,0x20,0x30): s='mainlen %d %s'%(len(m),m.hex())
        return 'HEAP2/'+n+' '+s
    if x.rm==1:
        n=['COMMIT','PREPARE','ABORT','COMMIT_PREPARED','ABORT_PREPARED','ASSIGNMENT','INVALIDATIONS','70'][op>>4]
        if op in(0,0x20,0x30,0x40):
            t=struct.unpack_from('<q',m)[0]; o=8; xi=0; s=str(t)
            if x.info&0x80: xi=struct.unpack_from('<I',m,o)[0]; o+=4
            s+=' xinfo %08x'%xi
            if xi&1: s+=' db %d ts %d'%struct.unpack_from('<II',m,o); o+=8
            if xi&2: k=struct.unpack_from('<i',m,o)[0]; s+=' subx %s'%(struct.unpack_from('<%dI'%k,m,o+4),); o+=4+4*k
            if xi&4:
                k=struct.unpack_from('<i',m,o)[0]; o+=4; s+=' rels'
                for _ in range(k): s+=' %d/%d/%d'%struct.unpack_from('<III',m,o); o+=12
            if xi&0x100:
                k=struct.unpack_from('<i',m,o)[0]; o+=4; s+=' stats'
                for _ in range(k):
                    if x.ver>=18: s+=' %d/%d/%d+%d'%struct.unpack_from('<iIII',m,o); o+=16
                    else: s+=' %d/%d/%d'%struct.unpack_from('<iII',m,o); o+=12
            if xi&8 : k=struct.unpack_from('<i',m,o)[0]; s+=' invals %d'%k; o+=4+16*k
            if xi&0x10:
                s+=' 2pcxid %d'%struct.unpack_from('<I',m,o); o+=4
                if xi&0x80: e=m.index(0,o); s+=' gid '+m[o:e].decode(); o=e+1
            if xi&0x20: s+=' origin %x %d'%struct.unpack_from('<QQ',m,o); o+=16
            assert o==len(m),('xact',n,o,len(m),hex(xi))
        elif op==0x50: k=struct.unpack_from('<Ii',m); s=str(k)
        elif op==0x10:
            mg,tl,xi,db,pa,ow,ns,ncr,nar=struct.unpack_from('<IIIIqIiii',m); s='magic %x len %d(%d) xid %d db %d t %d owner %d subx %d crels %d arels %d'%(mg,tl,len(m),xi,db,pa,ow,ns,ncr,nar)
            o=40
            if x.ver>=15: s+=' cstats %d astats %d'%struct.unpack_from('<ii',m,o); o+=8
            ni,iv,gl=struct.unpack_from('<i?xH',m,o); o+=8; o=al(o); ol,ot=struct.unpack_from('<QQ',m,o); o+=16
            s+=' inv %d gidlen %d hdr %d gid %s'%(ni,gl,o,m[o:o+gl])
        return 'XACT/'+n+' '+s
    if x.rm==2: 
        if op==0x10: s='CREATE %d/%d/%d fork %d'%struct.unpack_from('<IIIi',m)
        else: s='TRUNCATE blk %d rel %d/%d/%d flags %d'%struct.unpack_from('<IIIIi',m)
        return 'SMGR/'+s+' len %d'%len(m)
    if x.rm==4: return 'DBASE/%02x '%op+str(struct.unpack_from('<%dI'%(len(m)//4),m))
    if x.rm==21:
        db,tr,ps,ms=struct.unpack_from('<I?3xQQ',m); return 'LOGICALMSG db %d tx %s pfx %s msg %s len %d'%(db,tr,m[24:24+ps],m[24+ps:24+ps+ms],len(m))
    if x.rm==0:
        nm={0:'CKPT_SHUT',0x10:'CKPT_ONLINE',0x20:'NOOP',0x30:'NEXTOID',0x40:'SWITCH',0x50:'BACKUP_END',0x60:'PARAM',0x70:'RESTORE_POINT',0x80:'FPW',0x90:'EOR',0xA0:'FPI_HINT',0xB0:'FPI',0xD0:'OVERWRITE',0xE0:'CKPT_REDO'}[x.info&0xF0]
        s='len %d '%len(m)
        if nm.startswith('CKPT_O') or nm=='CKPT_SHUT':
            s+='redo %s tli %d/%d fpw %d'%((lsn(struct.unpack_from('<Q',m)[0]),)+struct.unpack_from('<II?',m,8)); 
            nx=24; s+=' nextxid %d oid %d'%struct.unpack_from('<QI',m,nx); s+=' time %d'%struct.unpack_from('<q',m,64)
        if nm=='RESTORE_POINT': s+=str(struct.unpack_from('<q',m)[0])+m[8:8+64].split(b'\0')[0].decode()
        return 'XLOG/'+nm+' '+s
    if x.rm==7: return 'RELMAP db %d ts %d n %d len %d'%(struct.unpack_from('<IIi',m)+(len(m),))
    return (RM[x.rm] if x.rm<22 else str(x.rm))+'/%02x mainlen %d'%(x.info&0xF0,len(m))
if __name__=='__main__':
    fs=[f for f in sorted(sys.argv[1:]) if len(os.path.basename(f))==24]
    for x in reader(fs):
        if isinstance(x,tuple): print(*x); continue
        b=' '.join('[%d: %d/%d/%d f%d b%d%s%s fl%02x dl%d]'%((k,)+v.rel+(v.fork,v.blk,' FPI'+str(v.img) if v.img else '',' WI' if v.flags&0x40 else '',v.flags,v.dlen)) for k,v in sorted(x.blocks.items()))
        print(lsn(x.lsn),'len',x.len,'xid',x.xid,('top %d'%x.top) if x.top else '',desc(x),'info%02x'%x.info,b)
