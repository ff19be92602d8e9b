# Carries out what the vmops plugin for Hyper-V asks for. Windows PowerShell 5.1 and PowerShell 7.
#
# Standard input: one request a line, the base64 of a JSON object {nonce, id, operation, document}.
# Standard output: one answer a line, '@vmops:NONCE:ID:' and the base64 of {"result": ...} or {"error": ...}.
#
# This text is constant. What comes in is data: it becomes parameters, never text that is run. Commands and methods are
# those of the lists below. There are no strings in double quotes, so that nothing can be expanded in one.

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$WarningPreference = 'SilentlyContinue'
$InformationPreference = 'SilentlyContinue'
$ConfirmPreference = 'None'
$PSModuleAutoLoadingPreference = 'All'

$utf8 = New-Object System.Text.UTF8Encoding $false
$namespace = 'root\virtualization\v2'
$realized = 'VirtualSystemType = ''Microsoft:Hyper-V:System:Realized'''
$planned = 'VirtualSystemType = ''Microsoft:Hyper-V:System:Planned'''
$changes = 'SELECT * FROM __InstanceModificationEvent WITHIN 1 WHERE TargetInstance ISA ''Msvm_ComputerSystem'' AND TargetInstance.EnabledState <> PreviousInstance.EnabledState'

$cmdlets = @(
    'Add-VMDvdDrive', 'Add-VMHardDiskDrive', 'Add-VMNetworkAdapter', 'Add-VMScsiController', 'Checkpoint-VM',
    'Compare-VM', 'Connect-VMNetworkAdapter', 'Convert-VHD', 'Disconnect-VMNetworkAdapter', 'Enable-VMResourceMetering',
    'Get-VHD', 'Get-VMDvdDrive', 'Get-VMHardDiskDrive', 'Get-VMNetworkAdapter', 'Get-VMSwitch', 'Merge-VHD', 'Move-VM',
    'New-VHD', 'New-VM', 'Remove-VM', 'Remove-VMDvdDrive', 'Remove-VMHardDiskDrive', 'Remove-VMNetworkAdapter',
    'Remove-VMSavedState', 'Remove-VMSnapshot', 'Resize-VHD', 'Set-VHD', 'Set-VM', 'Set-VMComPort', 'Set-VMFirmware',
    'Set-VMMemory', 'Set-VMProcessor'
)

# The types of arguments: CIM takes a number of another width for an error.
$methods = @{
    'Msvm_ComputerSystem.RequestStateChange' = @{ RequestedState = 'UInt16' }
    'Msvm_ShutdownComponent.InitiateShutdown' = @{ Force = 'Boolean'; Reason = 'String' }
}

$jobClasses = @('Msvm_ConcreteJob', 'Msvm_MigrationJob', 'Msvm_StorageJob')
$unfinished = @(2, 3, 4, 5, 6, 11, 12)

function New-Failure([string] $identifier, [string] $category, [string] $message) {
    $exception = New-Object System.InvalidOperationException $message
    return New-Object System.Management.Automation.ErrorRecord $exception, $identifier, $category, $null
}

function Get-Value($object, [string] $name) {
    $property = $object.PSObject.Properties[$name]
    if ($null -eq $property) { return $null }
    return $property.Value
}

function Find-VM([string] $id) {
    $guid = [guid] $id
    try {
        return Hyper-V\Get-VM -Id $guid
    } catch {
        $text = [string] $_.FullyQualifiedErrorId
        if ($text.StartsWith('InvalidParameter') -or $text.StartsWith('ObjectNotFound')) {
            throw (New-Failure 'VmNotFound' 'ObjectNotFound' 'there is no such virtual machine')
        }
        throw
    }
}

function Find-Instance([string] $class, $keys) {
    $key = New-CimInstance -ClientOnly -Namespace $namespace -ClassName $class -Key @($keys.Keys) -Property $keys
    try {
        return Get-CimInstance -InputObject $key
    } catch {
        if (([string] $_.CategoryInfo.Category) -eq 'ObjectNotFound') { return $null }
        throw
    }
}

function Find-System([string] $id) {
    $name = ([guid] $id).ToString().ToUpperInvariant()
    $system = Find-Instance 'Msvm_ComputerSystem' @{ CreationClassName = 'Msvm_ComputerSystem'; Name = $name }
    if ($null -eq $system) {
        throw (New-Failure 'VmNotFound' 'ObjectNotFound' 'there is no such virtual machine')
    }
    return $system
}

# A typed value of a document: {"s": "=text"}, {"i": 1}, {"b": true}, {"vm": id}, {"l": [texts]}, {"m": [[from, to]]}.
function ConvertFrom-Typed($typed) {
    foreach ($property in $typed.PSObject.Properties) {
        $value = $property.Value
        if ($property.Name -ceq 's') { return ([string] $value).Substring(1) }
        if ($property.Name -ceq 'i') { return [long] $value }
        if ($property.Name -ceq 'b') { return [bool] $value }
        if ($property.Name -ceq 'vm') { return Find-VM $value }
        if ($property.Name -ceq 'l') {
            $texts = @($value | ForEach-Object { ([string] $_).Substring(1) })
            return , $texts
        }
        if ($property.Name -ceq 'm') {
            $moves = @($value | ForEach-Object {
                @{ SourceFilePath = ([string] $_[0]).Substring(1); DestinationFilePath = ([string] $_[1]).Substring(1) }
            })
            return , $moves
        }
    }
    throw (New-Failure 'NotAllowed' 'InvalidArgument' 'a value without a known type')
}

function ConvertTo-Plain($value) {
    if ($null -eq $value) { return $null }
    if ($value -is [string] -or $value -is [bool]) { return $value }
    if ($value -is [timespan]) { return [long] $value.TotalMilliseconds }
    if ($value -is [datetime]) { return $value.ToUniversalTime().ToString('o') }
    if ($value -is [enum] -or $value -is [guid]) { return $value.ToString() }
    if ($value -is [byte] -or $value -is [int16] -or $value -is [uint16] -or $value -is [int] -or $value -is [uint32] -or
        $value -is [long] -or $value -is [uint64] -or $value -is [double]) { return $value }
    if ($value -is [System.Collections.IEnumerable]) {
        $all = @()
        foreach ($each in $value) { $all += ConvertTo-Plain $each }
        return , $all
    }
    $message = Get-Value $value 'Message'
    if ($null -ne $message) { return [string] $message }
    return $value.ToString()
}

function Find-Cmdlet([string] $name) {
    if ($cmdlets -notcontains $name) {
        throw (New-Failure 'NotAllowed' 'InvalidArgument' 'a command that is not on the list')
    }
    return @(Get-Command -Module Hyper-V -Name $name -ListImported)[0]
}

function Get-Parameters($document) {
    $parameters = @{}
    foreach ($property in $document.parameters.PSObject.Properties) {
        $parameters[$property.Name] = ConvertFrom-Typed $property.Value
    }
    return $parameters
}

function Invoke-Cmdlet($document) {
    $command = Find-Cmdlet $document.name
    $parameters = Get-Parameters $document
    $source = Get-Value $document 'source'
    if ($null -ne $source) {
        $first = Find-Cmdlet $source.name
        $given = Get-Parameters $source
        $objects = @(& $first @given)
        if ($objects.Count -eq 0) {
            throw (New-Failure 'ObjectNotFound' 'ObjectNotFound' 'there is no such device')
        }
        $output = @($objects | & $command @parameters)
    } else {
        $output = @(& $command @parameters)
    }
    $items = @()
    foreach ($object in $output) {
        if ($null -eq $object) { continue }
        $item = @{}
        foreach ($name in @($document.result)) { $item[$name] = ConvertTo-Plain (Get-Value $object $name) }
        if ($item.Count -gt 0) { $items += $item }
    }
    $answer = @{ items = $items }
    if ($items.Count -gt 0) {
        foreach ($name in $items[0].Keys) { $answer[$name] = $items[0][$name] }
    }
    return $answer
}

function Invoke-Method($document) {
    $types = $methods[$document.class + '.' + $document.method]
    if ($null -eq $types) {
        throw (New-Failure 'NotAllowed' 'InvalidArgument' 'a method that is not on the list')
    }
    $target = Find-System $document.vm
    if ($document.class -ceq 'Msvm_ShutdownComponent') {
        $target = @(Get-CimAssociatedInstance -InputObject $target -ResultClassName Msvm_ShutdownComponent)
        if ($target.Count -eq 0) { return @{ found = $false } }
        $target = $target[0]
    }
    $arguments = @{}
    foreach ($property in $document.arguments.PSObject.Properties) {
        $value = ConvertFrom-Typed $property.Value
        $type = $types[$property.Name]
        if ($type -ceq 'UInt16') { $value = [uint16] $value }
        elseif ($type -ceq 'Boolean') { $value = [bool] $value }
        elseif ($type -ceq 'String') { $value = [string] $value }
        else { throw (New-Failure 'NotAllowed' 'InvalidArgument' 'an argument that is not on the list') }
        $arguments[$property.Name] = $value
    }
    $output = Invoke-CimMethod -InputObject $target -MethodName $document.method -Arguments $arguments
    $answer = @{ found = $true; value = [long] $output.ReturnValue }
    $job = Get-Value $output 'Job'
    if ($null -ne $job) {
        $answer['job'] = @{ class = $job.CimSystemProperties.ClassName; id = [string] $job.InstanceID }
    }
    return $answer
}

function Find-Job([string] $class, [string] $id) {
    if ($jobClasses -notcontains $class) { $class = 'Msvm_ConcreteJob' }
    return Find-Instance $class @{ InstanceID = $id }
}

function Get-JobRecord($job) {
    return @{
        found = $true; class = $job.CimSystemProperties.ClassName; id = [string] $job.InstanceID
        state = [long] $job.JobState; percent = [long] $job.PercentComplete
        error_code = ConvertTo-Plain (Get-Value $job 'ErrorCode')
        description = [string] (Get-Value $job 'ErrorDescription'); status = [string] (Get-Value $job 'JobStatus')
    }
}

function Stop-CimJob($job) {
    if ([bool] (Get-Value $job 'Cancellable')) {
        $ended = Invoke-CimMethod -InputObject $job -MethodName RequestStateChange -Arguments @{ RequestedState = [uint16] 5 }
        return [long] $ended.ReturnValue
    }
    return [long] 32775
}

function Get-Jobs([string] $id) {
    $system = Find-System $id
    return @(Get-CimAssociatedInstance -InputObject $system -Association Msvm_AffectedJobElement |
        Where-Object { $unfinished -contains [int] $_.JobState })
}

function Get-MachineRecord($system, $settings) {
    return @{
        id = $system.Name.ToLowerInvariant(); name = [string] $system.ElementName
        notes = @($settings.Notes | ForEach-Object { [string] $_ }); enabled_state = [long] $system.EnabledState
        path = [string] $settings.ConfigurationDataRoot
        generation = $(if (([string] $settings.VirtualSystemSubType).EndsWith(':2')) { 2 } else { 1 })
        uptime_ms = [long] $system.OnTimeInMilliseconds
    }
}

function Get-DriveRecord($drive, [string] $media) {
    $bus = Get-Value $drive 'ControllerType'
    return @{
        bus = $(if ($null -eq $bus) { 'ide' } else { $bus.ToString().ToLowerInvariant() })
        controller = [long] $drive.ControllerNumber; unit = [long] $drive.ControllerLocation
        path = $(if ($drive.Path) { [string] $drive.Path } else { $null }); media = $media
    }
}

function Invoke-Script([string] $name, $document) {
    $given = @{}
    foreach ($property in $document.PSObject.Properties) {
        # Machines are looked up where they are needed, and not all scripts need the cmdlets' object.
        if ($null -ne $property.Value.PSObject.Properties['vm']) { $given[$property.Name] = [string] $property.Value.vm }
        else { $given[$property.Name] = ConvertFrom-Typed $property.Value }
    }
    switch -CaseSensitive ($name) {
        'echo' { return @{ given = $given; nested = @{ a = @{ b = @{ c = @{ d = @{ e = @($given['text']) } } } } } } }
        'inventory' {
            $systems = @{}
            foreach ($each in Get-CimInstance -Namespace $namespace -ClassName Msvm_ComputerSystem) { $systems[$each.Name] = $each }
            $machines = @()
            foreach ($each in Get-CimInstance -Namespace $namespace -ClassName Msvm_VirtualSystemSettingData -Filter $realized) {
                $system = $systems[[string] $each.VirtualSystemIdentifier]
                if ($null -ne $system) { $machines += Get-MachineRecord $system $each }
            }
            return @{ machines = $machines }
        }
        'machine' {
            $system = Find-System $given['vm']
            $settings = @(Get-CimAssociatedInstance -InputObject $system -ResultClassName Msvm_VirtualSystemSettingData |
                Where-Object { $_.VirtualSystemType -eq 'Microsoft:Hyper-V:System:Realized' })[0]
            $record = Get-MachineRecord $system $settings
            $vm = Find-VM $given['vm']
            $record['memory_mb'] = [long] ($vm.MemoryAssigned / 1048576)
            $record['maximum_mb'] = [long] ($(if ($vm.DynamicMemoryEnabled) { $vm.MemoryMaximum } else { $vm.MemoryStartup }) / 1048576)
            $record['processors'] = [long] $vm.ProcessorCount
            $record['metering'] = [bool] $vm.ResourceMeteringEnabled
            $record['com_port'] = [string] $vm.ComPort1.Path
            $drives = @()
            foreach ($each in Hyper-V\Get-VMHardDiskDrive -VM $vm) { $drives += Get-DriveRecord $each 'disk' }
            foreach ($each in Hyper-V\Get-VMDvdDrive -VM $vm) { $drives += Get-DriveRecord $each 'cdrom' }
            $record['drives'] = $drives
            $record['adapters'] = @(Hyper-V\Get-VMNetworkAdapter -VM $vm | ForEach-Object {
                @{ name = [string] $_.Name; mac = [string] $_.MacAddress; switch = [string] $_.SwitchName }
            })
            $record['checkpoints'] = @(Hyper-V\Get-VMSnapshot -VM $vm | ForEach-Object { [string] $_.Name })
            return $record
        }
        'hostInfo' {
            $hostSettings = Hyper-V\Get-VMHost
            $system = Get-CimInstance -ClassName Win32_OperatingSystem
            $processors = @(Get-CimInstance -ClassName Win32_Processor)
            $product = Get-CimInstance -ClassName Win32_ComputerSystemProduct
            $drive = $null
            if (([string] $given['root']).Substring(1, 1) -eq ':') { $drive = New-Object System.IO.DriveInfo ([string] $given['root']).Substring(0, 1) }
            return @{
                id = ([string] $product.UUID).ToLowerInvariant(); name = [string] $hostSettings.Name
                version = [string] $system.Version
                memory_mb = [long] ([long] $system.TotalVisibleMemorySize / 1024)
                memory_used_mb = [long] (([long] $system.TotalVisibleMemorySize - [long] $system.FreePhysicalMemory) / 1024)
                disk_bytes = $(if ($null -eq $drive) { 0 } else { [long] $drive.TotalSize })
                disk_free_bytes = $(if ($null -eq $drive) { 0 } else { [long] $drive.AvailableFreeSpace })
                processor = [string] $processors[0].Name; manufacturer = [string] $processors[0].Manufacturer
                architecture = [long] $processors[0].Architecture; sockets = $processors.Count
                cores = [long] $processors[0].NumberOfCores; threads = [long] $processors[0].NumberOfLogicalProcessors
                migration_enabled = [bool] $hostSettings.VirtualMachineMigrationEnabled
                authentication = [string] $hostSettings.VirtualMachineMigrationAuthenticationType
                any_network = [bool] $hostSettings.UseAnyNetworkForMigration
                networks = @(Hyper-V\Get-VMMigrationNetwork | ForEach-Object { [string] $_.Subnet })
            }
        }
        'probe' {
            $identity = [System.Security.Principal.WindowsIdentity]::GetCurrent()
            $principal = New-Object System.Security.Principal.WindowsPrincipal $identity
            $administrators = New-Object System.Security.Principal.SecurityIdentifier 'S-1-5-32-544'
            $hyperV = New-Object System.Security.Principal.SecurityIdentifier 'S-1-5-32-578'
            $service = Get-Service -Name vmms
            $visible = @(Get-CimInstance -Namespace $namespace -ClassName Msvm_VirtualSystemManagementService)
            return @{
                member = $principal.IsInRole($administrators) -or $principal.IsInRole($hyperV)
                service = $service.Status.ToString(); visible = $visible.Count -gt 0; user = [string] $identity.Name
            }
        }
        'job' {
            $job = Find-Job $given['cim_class'] $given['id']
            if ($null -eq $job) { return @{ found = $false } }
            return Get-JobRecord $job
        }
        'endJob' {
            $job = Find-Job $given['cim_class'] $given['id']
            if ($null -eq $job) { return @{ found = $false } }
            return @{ found = $true; value = Stop-CimJob $job }
        }
        'jobs' { return @{ jobs = @(Get-Jobs $given['vm'] | ForEach-Object { Get-JobRecord $_ }) } }
        'cancelJobs' {
            $jobs = @(Get-Jobs $given['vm'])
            $count = 0
            foreach ($job in $jobs) { if ((Stop-CimJob $job) -ne 32775) { $count += 1 } }
            $until = [DateTime]::UtcNow.AddSeconds(120)
            while ($count -gt 0 -and @(Get-Jobs $given['vm']).Count -gt 0 -and [DateTime]::UtcNow -lt $until) {
                Start-Sleep -Milliseconds 200
            }
            return @{ count = $count }
        }
        'stripDevices' {
            $vm = Find-VM $given['vm']
            Hyper-V\Get-VMNetworkAdapter -VM $vm | Hyper-V\Remove-VMNetworkAdapter
            Hyper-V\Get-VMDvdDrive -VM $vm | Hyper-V\Remove-VMDvdDrive
            if (@(Hyper-V\Get-VMScsiController -VM $vm).Count -eq 0) { Hyper-V\Add-VMScsiController -VM $vm }
            return @{}
        }
        'bootFrom' {
            $vm = Find-VM $given['vm']
            $drive = Hyper-V\Get-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber $given['controller'] -ControllerLocation $given['unit']
            Hyper-V\Set-VMFirmware -VM $vm -FirstBootDevice $drive
            return @{}
        }
        'removePlanned' {
            $service = @(Get-CimInstance -Namespace $namespace -ClassName Msvm_VirtualSystemManagementService)[0]
            $count = 0
            foreach ($each in @(Get-CimInstance -Namespace $namespace -ClassName Msvm_VirtualSystemSettingData -Filter $planned)) {
                $first = @(@($each.Notes | ForEach-Object { [string] $_ }) -split '[\r\n]+')[0]
                if ($first -ne $given['uuid']) { continue }
                $system = @(Get-CimInstance -Namespace $namespace -ClassName Msvm_PlannedComputerSystem |
                    Where-Object { $_.Name -eq $each.VirtualSystemIdentifier })
                foreach ($one in $system) {
                    Invoke-CimMethod -InputObject $service -MethodName DestroySystem -Arguments @{ AffectedSystem = [ref] $one } | Out-Null
                    $count += 1
                }
            }
            return @{ count = $count }
        }
        'diagnostics' {
            $vm = Find-VM $given['vm']
            $figures = @{
                state = $vm.State.ToString(); status = [string] $vm.Status; uptime_ms = [long] $vm.Uptime.TotalMilliseconds
                cpu_usage_percent = [long] $vm.CPUUsage; memory_assigned_bytes = [long] $vm.MemoryAssigned
                memory_demand_bytes = [long] $vm.MemoryDemand; memory_status = [string] $vm.MemoryStatus
                heartbeat = [string] $vm.Heartbeat; integration_services = [string] $vm.IntegrationServicesState
                version = [string] $vm.Version
            }
            if ([bool] $vm.ResourceMeteringEnabled) {
                $report = Hyper-V\Measure-VM -VM $vm
                $figures['average_cpu_mhz'] = ConvertTo-Plain $report.AvgCPU
                $figures['average_memory_mb'] = ConvertTo-Plain $report.AvgRAM
                $figures['maximum_memory_mb'] = ConvertTo-Plain $report.MaxRAM
                $figures['minimum_memory_mb'] = ConvertTo-Plain $report.MinRAM
                $figures['total_disk_mb'] = ConvertTo-Plain $report.TotalDisk
            }
            return $figures
        }
    }
    throw (New-Failure 'NotAllowed' 'InvalidArgument' 'a script that is not on the list')
}

$reader = New-Object System.IO.StreamReader ([Console]::OpenStandardInput()), $utf8
$writer = [Console]::OpenStandardOutput()

function Write-Answer($request, $body) {
    $json = ConvertTo-Json -InputObject $body -Depth 12 -Compress
    $text = [Convert]::ToBase64String($utf8.GetBytes($json))
    $line = [string]::Concat([string][char]10, '@vmops:', [string] $request.nonce, ':') + [string] $request.id + ':' + $text + [char]10
    $bytes = $utf8.GetBytes($line)
    $writer.Write($bytes, 0, $bytes.Length)
    $writer.Flush()
}

function Get-ErrorBody($record) {
    $exception = $record.Exception
    return @{ error = @{
        id = [string] $record.FullyQualifiedErrorId; category = $record.CategoryInfo.Category.ToString()
        hresult = [long] $exception.HResult; message = [string] $exception.Message; type = $exception.GetType().FullName
    } }
}

# Writes a line at least every five seconds, so that it ends soon after the reader is gone.
function Watch-Changes($request) {
    Register-CimIndicationEvent -Namespace $namespace -Query $changes -SourceIdentifier 'vmops'
    Write-Answer $request @{ result = @{ watching = $true } }
    while ($true) {
        $change = Wait-Event -SourceIdentifier 'vmops' -Timeout 5
        if ($null -eq $change) {
            Write-Answer $request @{ result = @{ heartbeat = $true } }
            continue
        }
        $target = $change.SourceEventArgs.NewEvent.TargetInstance
        Remove-Event -EventIdentifier $change.EventIdentifier
        Write-Answer $request @{ result = @{
            id = ([string] $target.Name).ToLowerInvariant(); enabled_state = [long] $target.EnabledState
            uptime_ms = [long] $target.OnTimeInMilliseconds
        } }
    }
}

while ($true) {
    $line = $reader.ReadLine()
    if ($null -eq $line) { break }
    if ($line.Length -eq 0) { continue }
    $request = $utf8.GetString([Convert]::FromBase64String($line)) | ConvertFrom-Json
    try {
        switch -CaseSensitive ($request.operation) {
            'hello' {
                Import-Module -Name Hyper-V
                $module = Get-Module -Name Hyper-V
                $body = @{ edition = [string] $PSVersionTable['PSEdition']; version = $PSVersionTable['PSVersion'].ToString(); module = $module.Version.ToString() }
            }
            'cmdlet' { $body = Invoke-Cmdlet $request.document }
            'invoke' { $body = Invoke-Method $request.document }
            'script' { $body = Invoke-Script $request.document.name $request.document.document }
            'watch' { Watch-Changes $request; $body = @{} }
            default { throw (New-Failure 'NotAllowed' 'InvalidArgument' 'an operation that is not on the list') }
        }
        Write-Answer $request @{ result = $body }
    } catch {
        Write-Answer $request (Get-ErrorBody $_)
    }
}
