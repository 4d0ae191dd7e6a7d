/// The scripts that Redis runs. Each works on the keys of one channel, and either all of it happens or nothing, unless
/// the server's access rules forbid a part of it. A full server refuses the first write, if that is one that adds
/// something; after another it would let the rest pass.
enum RedisScript: CaseIterable {
    case publish, sync, renumber, enter, leave

    var text: String {
        switch self {
        case .publish: Self.stateFunction + Self.publishText
        case .sync: Self.stateFunction + Self.historyFunction + Self.syncText
        case .renumber: Self.stateFunction + Self.historyFunction + Self.renumberText
        case .enter: Self.stateFunction + Self.announceFunction + Self.enterText
        case .leave: Self.stateFunction + Self.announceFunction + Self.leaveText
        }
    }

    /// The epoch and the last number of a channel; nothing if it has none, or what others wrote there is none: a new
    /// epoch begins then, for batches of the other would be damage to all nodes.
    private static let stateFunction = #"""
        local function isEpoch(text) return #text<=13 and string.match(text,'^[0-9a-z]+$') end
        local function state(e,s)
          s=s or '0'
          if not e or not isEpoch(e) or #s>16 or not string.match(s,'^%d+$') or tonumber(s)>2^53 then return end
          return e,tonumber(s)
        end

        """#

    /// KEYS: meta, history. ARGV: pub/sub channel, count of numbered publications, publications, node, number of the
    /// batch, new epoch, limits of the history in messages and bytes, lives of history and meta in seconds, time in
    /// seconds since 1970, the last epoch and number that the node knows, and the command that publishes: SPUBLISH in a
    /// cluster. If the server has fewer, it has lost some, and a new epoch begins, so that no number is given twice in
    /// one.
    ///
    /// Other programs give `-` as the node. The answer is the epoch, the last number, and 1 if this batch of this node
    /// had been taken before.
    private static let publishText = #"""
        local m,h,node,number,count=KEYS[1],KEYS[2],ARGV[4],ARGV[5],tonumber(ARGV[2])
        local fresh=ARGV[6]
        if not isEpoch(fresh) then
          local t=redis.call('TIME')
          fresh=string.format('%x%05x',t[1],t[2])
        end
        if #ARGV[2]>7 or not string.match(ARGV[2],'^%d+$') then
          return redis.error_reply('ERR argument 2 is no number of publications')
        end
        local own=node~='' and node~='-'
        local d=redis.call('HMGET',m,'e','s','b','t',own and 'n:'..node or 'e')
        local e,last=state(d[1],d[2])
        if own and e and d[5] then
          local n,s=string.match(d[5],'^(%d+):(%d+)')
          if n and tonumber(n)>=tonumber(number) then return {e,tonumber(s),1} end
        end
        if not own then
          local t=redis.call('TIME')
          node='-' number=t[1]..string.format('%06d',t[2])
        end
        if not e or last>2^53-count then
          e=fresh last=0 d={}
          if redis.call('EXISTS',h)==1 then redis.call('DEL',h) end
        elseif e==ARGV[12] and last<tonumber(ARGV[13]) then
          e=fresh
        end
        last=last+count
        local text,id=string.format('%.0f',last),node..':'..number
        local limit,f=tonumber(ARGV[7] or '0'),{'HSET',m,'e',e,'s',text}
        if count>0 then
          f[7]='l' f[8]=id
          if limit>0 then
            local from,bytes=math.max(last-limit+1,1),tonumber(ARGV[8] or '0')
            local total=(tonumber(d[3] or '0') or 0)+#ARGV[3]
            local sum=string.format('%.0f',total)
            local add={'XADD',h,'MINID','~',string.format('%.0f',from),text..'-0','n',ARGV[2],'d',ARGV[3],'o',id,'b',sum}
            local ok=redis.pcall(unpack(add))
            if ok.err then
              if not string.find(ok.err,'equal or smaller') then return ok end
              redis.call('DEL',h) redis.call(unpack(add))
            end
            f[9]='b' f[10]=sum
            if bytes>0 and total-(tonumber(d[4] or '0') or 0)>bytes/16 then
              local low,high=from,last
              while low<high do
                local mid=math.floor((low+high)/2)
                local x=redis.call('XRANGE',h,string.format('%.0f-0',mid),'+','COUNT',1)[1]
                if total-tonumber(x[2][8])+#x[2][4]>bytes then
                  low=math.min(tonumber(string.match(x[1],'^%d+'))+1,last)
                else high=mid end
              end
              redis.call('XTRIM',h,'MINID',string.format('%.0f',low))
              f[11]='t' f[12]=sum
            end
            redis.call('EXPIRE',h,ARGV[9])
          end
        end
        if own then
          f[#f+1]='n:'..node f[#f+1]=number..':'..text..':'..(ARGV[11] or '0')
        end
        redis.call(unpack(f))
        if own and not d[5] and redis.call('HLEN',m)>70 then
          local all,old=redis.call('HGETALL',m),tonumber(ARGV[11] or '0')-3600
          for i=1,#all,2 do
            local t=string.sub(all[i],1,2)=='n:' and string.match(all[i+1],':(%d+)$')
            if t and tonumber(t)<old then redis.call('HDEL',m,all[i]) end
          end
        end
        redis.call('EXPIRE',m,ARGV[10] or 86400)
        redis.call(ARGV[14] or 'PUBLISH',ARGV[1],text..':'..ARGV[2]..':'..e..':'..id..':'..ARGV[3])
        return {e,last,0}
        """#

    /// What the history has after a number, newest first, and no more than needed for a number of messages; of the bytes
    /// no more than `publish` keeps for a number of them, nor than can be read as one answer (see `RESPDecoder.Limits`),
    /// unless it is one batch.
    private static let historyFunction = #"""
        local function history(h,after,limit,bytes)
          local found,n,size,cursor={},0,0,'+'
          while n<limit do
            local page=redis.call('XREVRANGE',h,cursor,'('..after..'-0','COUNT',32)
            for _,x in ipairs(page) do
              if n>=limit then break end
              size=size+#(x[2][4] or '')
              if #found>0 and (size>bytes*17/16 or size+192*#found>2^27) then return found end
              found[#found+1]=x n=n+(tonumber(x[2][2]) or 0)
            end
            if #page<32 then break end
            cursor='('..page[32][1]
          end
          return found
        end

        """#

    /// KEYS: meta, history. ARGV: known epoch and number, limits in messages and bytes, new epoch, life of meta in
    /// seconds.
    ///
    /// The answer is the epoch, the last number and the batch that it is of; of the oldest batch at or after the known
    /// number its last number, its count and its identity; and the batches after the known number, or all of them if
    /// the epoch is another. A channel that is not known begins with the new epoch.
    private static let syncText = #"""
        local m,h,after,limit=KEYS[1],KEYS[2],'0',tonumber(ARGV[3])
        local d=redis.call('HMGET',m,'e','s','l')
        local e,s=state(d[1],d[2])
        if not e then
          if redis.call('EXISTS',h)==1 then redis.call('DEL',h) end
          redis.call('HSET',m,'e',ARGV[5],'s','0') redis.call('EXPIRE',m,ARGV[6])
          return {ARGV[5],0,'',false,{}}
        end
        redis.call('EXPIRE',m,ARGV[6])
        local at=false
        if e==ARGV[1] then
          after=ARGV[2]
          if s<=tonumber(after) then return {e,s,d[3] or '',false,{}} end
          local x=limit>0 and redis.call('XRANGE',h,after..'-0','+','COUNT',1)[1]
          if x then at={x[1],x[2][2],x[2][6]} end
        end
        return {e,s,d[3] or '',at,history(h,after,limit,tonumber(ARGV[4]))}
        """#

    /// KEYS: meta, history. ARGV: the epoch that is to end, new epoch, limits in messages and bytes.
    ///
    /// The answer is that of `sync` for another epoch; its own is empty if the channel has none.
    private static let renumberText = #"""
        local m,h=KEYS[1],KEYS[2]
        if redis.call('HGET',m,'e')==ARGV[1] then redis.call('HSET',m,'e',ARGV[2]) end
        local d=redis.call('HMGET',m,'e','s','l')
        local e,s=state(d[1],d[2])
        if not e then return {'',0,'',false,{}} end
        return {e,s,d[3] or '',false,history(h,'0',tonumber(ARGV[3]),tonumber(ARGV[4]))}
        """#
}

extension RedisScript {
    /// Publishes what has no number.
    private static let announceFunction = #"""
        local function announce(m,channel,blob,command)
          local d=redis.call('HMGET',m,'e','s')
          local e,s=state(d[1],d[2])
          redis.call(command,channel,string.format('%.0f',s or 0)..':0:'..(e or '')..':-:0:'..blob)
        end

        """#

    /// KEYS: users, counts, meta. ARGV: field, user, time, pub/sub channel, announcement, whether the user is announced,
    /// whether it is announced now, life of the keys in seconds, command that publishes.
    private static let enterText = #"""
        if redis.call('HSET',KEYS[1],ARGV[1],ARGV[3]..':'..ARGV[6])==1 then
          if redis.call('HINCRBY',KEYS[2],ARGV[2],1)==1 and ARGV[7]=='1' then announce(KEYS[3],ARGV[4],ARGV[5],ARGV[9]) end
        end
        redis.call('EXPIRE',KEYS[1],ARGV[8]) redis.call('EXPIRE',KEYS[2],ARGV[8])
        return 1
        """#

    /// KEYS: users, counts, meta. ARGV: field, user, pub/sub channel, announcement, and whether it is announced: 1, 0,
    /// or ? for what was said when the user came; command that publishes.
    private static let leaveText = #"""
        local v=redis.call('HGET',KEYS[1],ARGV[1])
        if not v then return 0 end
        redis.call('HDEL',KEYS[1],ARGV[1])
        if redis.call('HINCRBY',KEYS[2],ARGV[2],-1)<=0 then
          redis.call('HDEL',KEYS[2],ARGV[2])
          if ARGV[5]=='1' or ARGV[5]=='?' and string.sub(v,-2)==':1' then announce(KEYS[3],ARGV[3],ARGV[4],ARGV[6]) end
        end
        return 1
        """#
}
